// A gate in a process of its own under load, whose answers are compared from outside with what the upstream saw
// and what the record says: acknowledged entries are there, the chain verifies, nothing ran twice, and whatever
// has no known outcome is listed. The upstream's own ledger is what is believed.
import { expect } from 'chai'
import path from 'node:path'
import { entriesIn } from '../support/audit-export.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { ADMIN, MAKER } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const LOADERS = 12

interface Sent {
  readonly note: string
  /** Set when the gate answered with a final state. */
  actionId?: string
  state?: string
}

export interface CampaignReport {
  readonly rounds: number
  readonly acknowledged: number
  readonly effects: number
  readonly indeterminate: number
  readonly approvedRuns: number
}

/** A status and a parsed body; undefined when the gate is not there. */
// oxlint-disable-next-line typescript/no-explicit-any
export type CampaignAnswer = { status: number; body: any } | undefined

export class Campaign {
  readonly gate: GateProcess
  readonly #upstream: TestUpstream
  readonly #sent: Sent[] = []
  #key = ''
  #loading = false
  #loaders: Promise<void>[] = []
  #count = 0
  #indeterminate = 0

  private constructor(upstream: TestUpstream, gate: GateProcess) {
    this.#upstream = upstream
    this.gate = gate
  }

  static async prepare(dataDir: string, databaseUrl: string | null): Promise<Campaign> {
    const upstream = await TestUpstream.start()
    upstream.behave = (effect, res) => reply(res, 200, { note: effect.body })
    const policyDir = path.join(scratch('policies'), 'policies')
    writePolicies(policyDir, { 'gate.yaml': GATE })
    const gate = new GateProcess(await freePort(), {
      DATA_DIR: dataDir,
      POLICY_DIR: policyDir,
      LOG_FILE: path.join(scratch('campaign'), 'app.log'),
      TICKETING_API_URL: upstream.url,
      ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl }),
    })
    const campaign = new Campaign(upstream, gate)
    await gate.start()
    const agent = await campaign.call(
      'POST',
      '/api/v1/agents',
      { name: 'campaign', roles: ['worker'] },
      { 'x-api-key': MAKER },
    )
    campaign.#key = agent?.body.api_key
    return campaign
  }

  async stop(): Promise<void> {
    await this.gate.kill('SIGTERM')
    await this.#upstream.stop()
  }

  report(rounds: number): CampaignReport {
    return {
      rounds,
      acknowledged: this.#sent.filter(({ state }) => state !== undefined).length,
      effects: this.#upstream.effects.length,
      indeterminate: this.#indeterminate,
      approvedRuns: this.#upstream.effects.filter(({ method }) => method === 'DELETE').length,
    }
  }

  load(): void {
    this.#loading = true
    this.#loaders = Array.from({ length: LOADERS }, (_, n) =>
      n % 4 === 3 ? this.#approve() : this.#update(),
    )
  }

  async rest(): Promise<void> {
    this.#loading = false
    await Promise.all(this.#loaders)
  }

  /** One action of its own; its status, or undefined when the gate is not there. */
  async tries(): Promise<number | undefined> {
    const sent: Sent = { note: `n${this.#count++}` }
    this.#sent.push(sent)
    const body = { tool: 'items.update', args: { id: 'i-1', note: sent.note } }
    return this.#send(sent, body, sent.note)
  }

  /** Ready, and nothing claims to be under way. */
  async settled(): Promise<void> {
    await this.until(
      'the gate is ready',
      async () => (await this.call('GET', '/readyz'))?.status === 200,
    )
    await this.until('nothing claims to execute', async () => {
      const open = await this.call('GET', '/actions?state=executing')
      return open?.body.actions?.length === 0
    })
  }

  async #update(): Promise<void> {
    while (this.#loading) {
      const note = `n${this.#count++}`
      const sent: Sent = { note }
      this.#sent.push(sent)
      await this.#send(sent, { tool: 'items.update', args: { id: 'i-1', note } }, note)
    }
  }

  async #approve(): Promise<void> {
    while (this.#loading) {
      const id = `d${this.#count++}`
      const held = await this.call(
        'POST',
        '/act',
        { tool: 'items.delete', args: { id } },
        { 'x-api-key': this.#key },
      )
      const approval = held?.body.approval?.id
      if (!approval) continue
      // Several at once: whichever wins, it must run once.
      const route = `/approvals/${approval}/approve`
      await Promise.all([1, 2, 3].map(() => this.call('POST', route, {})))
    }
  }

  async #send(sent: Sent, body: object, idempotencyKey: string): Promise<number | undefined> {
    const headers = { 'x-api-key': this.#key, 'idempotency-key': idempotencyKey }
    const answer = await this.call('POST', '/act', body, headers)
    if (answer?.status !== 200) return answer?.status
    sent.actionId = answer.body.action_id
    sent.state = answer.body.status
    return answer.status
  }

  /** Nothing lost, nothing twice. @throws AssertionError */
  async check(): Promise<void> {
    const verdict = await this.call('GET', '/audit/verify')
    expect(verdict?.body.findings, 'audit findings').to.deep.equal([])
    expect(verdict?.body.completeness).to.equal('ok')
    const entries = await this.#exported()
    const outcomes = new Map(
      entries.filter(({ kind }) => kind === 'outcome').map((one) => [one.action_id, one.state]),
    )
    const decided = new Set(
      entries.filter(({ kind }) => kind === 'decision').map((one) => one.action_id),
    )
    for (const { actionId, state } of this.#sent) {
      if (!actionId) continue
      expect(decided.has(actionId), `decision of ${actionId}`).to.equal(true)
      expect(outcomes.get(actionId), `outcome of ${actionId}`).to.equal(state)
    }
    await this.#checkEffects()
  }

  // At most once: no note and no deletion reached the upstream twice, and each one that did has an action
  // that says so or says that nobody knows.
  async #checkEffects(): Promise<void> {
    const seen = new Map<string, number>()
    for (const { method, url, body } of this.#upstream.effects) {
      const id = `${method} ${url} ${body}`
      seen.set(id, (seen.get(id) ?? 0) + 1)
    }
    const twice = [...seen].filter(([, times]) => times > 1)
    expect(twice, 'effects that happened twice').to.deep.equal([])
    // An approved action may be woken only now, so what is under way gets time to end.
    await this.until('every effect has an action that says so', async () => {
      const states = await this.#statesByRequest()
      this.#indeterminate = [...states.values()].filter((one) => one === 'indeterminate').length
      return this.#upstream.effects.every(({ method, url, body }) =>
        ['succeeded', 'indeterminate'].includes(states.get(method === 'DELETE' ? url : body) ?? ''),
      )
    })
  }

  async #statesByRequest(): Promise<Map<string, string>> {
    const states = new Map<string, string>()
    let cursor = ''
    do {
      const page = await this.call('GET', `/actions?limit=500${cursor && `&cursor=${cursor}`}`)
      for (const { request, state } of page?.body.actions ?? []) {
        const { id, note } = request.args
        states.set(note === undefined ? `/items/${id}` : JSON.stringify({ note }), state)
      }
      cursor = page?.body.next_cursor ?? ''
    } while (cursor !== '')
    return states
  }

  async #exported(): Promise<{ kind: string; action_id: string; state?: string }[]> {
    const response = await fetch(`${this.gate.url}/audit/export`, {
      headers: { 'x-api-key': ADMIN },
    })
    return entriesIn(await response.text()).map(({ body }) => JSON.parse(body))
  }

  /** Undefined when the gate is not there. */
  async call(
    method: string,
    route: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<CampaignAnswer> {
    try {
      const response = await fetch(`${this.gate.url}${route}`, {
        method,
        headers: { 'x-api-key': ADMIN, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: await response.json() }
    } catch {
      return undefined
    }
  }

  async until(what: string, test: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 120_000
    while (!(await test())) {
      if (Date.now() > deadline) throw new Error(`never happened: ${what}\n${this.gate.output}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
