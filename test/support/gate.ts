import { setTimeout as delay } from 'node:timers/promises'
import fs from 'node:fs'
import path from 'node:path'
import { parseConfig } from '../../src/config.ts'
import { Gate } from '../../src/main.ts'
import { prepareEmbedded } from './database.ts'
import { scratch } from './scratch.ts'
import { undeclared } from './declared.ts'
import { writePolicies, type PolicyFiles } from './policies.ts'
import { TestUpstream } from './upstream.ts'

export const ADMIN = 'admin-token-of-tests'
/** Makes the agents: whoever issues an agent's key may not approve what it asks for. */
export const MAKER = 'another-admin-token-of-tests'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed JSON, `{}` when it is none. Its shape is what the tests assert, so it has no type. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
  readonly text: string
}

export interface TestGateOptions {
  readonly policies?: PolicyFiles
  readonly env?: Readonly<Record<string, string>>
  readonly databaseUrl?: string
  readonly dataDir?: string
  readonly policyDir?: string
  readonly upstream?: TestUpstream
}

/** A gate in this process with a real database and a real upstream, spoken to over HTTP. */
export class TestGate {
  readonly gate: Gate
  readonly upstream: TestUpstream
  readonly dataDir: string
  readonly policyDir: string
  readonly #ownsUpstream: boolean
  #calls = 0

  private constructor(
    gate: Gate,
    upstream: TestUpstream,
    dirs: { dataDir: string; policyDir: string },
    ownsUpstream: boolean,
  ) {
    this.gate = gate
    this.upstream = upstream
    this.dataDir = dirs.dataDir
    this.policyDir = dirs.policyDir
    this.#ownsUpstream = ownsUpstream
  }

  static async start(options: TestGateOptions = {}): Promise<TestGate> {
    const upstream = options.upstream ?? (await TestUpstream.start())
    const dataDir = options.dataDir ?? scratch('data')
    if (!options.databaseUrl && !fs.existsSync(path.join(dataDir, 'db'))) {
      await prepareEmbedded(dataDir)
    }
    const policyDir = options.policyDir ?? path.join(scratch('policies'), 'policies')
    if (!options.policyDir) writePolicies(policyDir, options.policies ?? {})
    const gate = new Gate(
      parseConfig({
        PORT: '0',
        DATA_DIR: dataDir,
        POLICY_DIR: policyDir,
        PLANS_DIR: path.join(dataDir, 'plans'),
        DATABASE_URL: options.databaseUrl ?? '',
        TICKETING_API_URL: upstream.url,
        API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER}`,
        LOG_FILE: path.join(dataDir, 'app.log'),
        DEMO: 'off',
        ...options.env,
      }),
    )
    await gate.start()
    return new TestGate(gate, upstream, { dataDir, policyDir }, !options.upstream)
  }

  async stop(): Promise<void> {
    await this.gate.stop()
    if (this.#ownsUpstream) await this.upstream.stop()
  }

  /** Makes an agent and answers its key. */
  async agent(name: string, roles: readonly string[] = ['worker']): Promise<string> {
    const options = { key: MAKER, body: { name, roles, owner: 'tests' } }
    const { status, body } = await heard(() => this.call('POST', '/api/v1/agents', options))
    if (status !== 201) throw new Error(`agent not created: ${status}`)
    return body.api_key
  }

  /** Makes a key of a role and answers it. */
  async key(role: string, name: string): Promise<string> {
    const options = { body: { role, name } }
    return (await heard(() => this.call('POST', '/api/v1/keys', options))).body.key
  }

  act(key: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('POST', '/act', { key, body, headers })
  }

  /** One call, as the admin unless a key (or null for none) is given. */
  async call(
    method: string,
    route: string,
    options: {
      readonly key?: string | null
      readonly body?: unknown
      /** Sent as it is, in place of `body`. */
      readonly raw?: string | Uint8Array
      readonly headers?: Record<string, string>
    } = {},
  ): Promise<Answer> {
    const { key = ADMIN, body, raw, headers = {} } = options
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    const response = await fetch(`${this.gate.url}${route}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(key === null ? {} : { 'x-api-key': key }),
        // For gates that trust this machine: wrong keys are counted by address.
        'x-forwarded-for': `203.0.113.${this.#calls++ % 250}`,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(payload === undefined ? {} : { body: payload as string }),
    })
    const text = await response.text()
    if (/^application\/json\b/.test(response.headers.get('content-type') ?? '')) {
      const wrong = undeclared(method, route, response.status, parse(text))
      if (wrong !== undefined) throw new Error(wrong)
    }
    return { status: response.status, headers: response.headers, body: parse(text), text }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** A gate that takes nothing at all says so each time, and would be asked for ever. */
const ASKED_MAX = 60
const UNHEARD = new Set(['audit_unavailable', 'store_unavailable', 'overloaded'])

/**
 * Asks again when it is told to, while the record could not be written in time: nothing happened then. A machine that
 * is busy with other things makes commits late, and no test is about that.
 */
export async function heard(ask: () => Promise<Answer>): Promise<Answer> {
  for (let asked = 1; ; asked++) {
    const answer = await ask()
    if (!UNHEARD.has(answer.body?.error?.code)) return answer
    if (asked === ASKED_MAX) throw new Error(`never heard: ${answer.text}`)
    await delay(Number(answer.headers.get('retry-after') ?? 0) * 1000)
  }
}

/** Between two looks: a loop that only yields takes a core from the gate that it waits for. */
const PAUSE_MS = 5

/** Waits for a condition, looking often, and fails with `what` after a minute; as a function it says what was last seen. */
export async function until(
  what: string | (() => string),
  test: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await test())) {
    if (Date.now() > deadline) {
      throw new Error(`never happened: ${typeof what === 'string' ? what : what()}`)
    }
    await delay(PAUSE_MS)
  }
}
