// What a policy's life promises, at length: three replicas on one PostgreSQL server, each the built gate in a process of its own,
// follow what is published while thousands of actions are decided. Every decision is then held against a re-decision by the files
// of the revision it names, which this script makes by itself; a rollback under load must fail no request; and replays of what is
// on record, by the policy itself and by twenty others, must say what deciding every action again says.
//   npm run campaign:policy-life [decisions]
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { PostgresServer } from '../support/database.ts'
import { ADMIN, MAKER } from '../support/gate.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { TOOLS, writePolicies } from '../support/policies.ts'
import { scratch } from '../support/scratch.ts'

const DECISIONS = Number(process.argv[2] ?? 10_000)
const REPLICAS = 3
/** Each asks again this long after its last answer: some hundred decisions a second, evenly. */
const AT_ONCE = 12
const EVERY_MS = 100
const PUBLISH_EVERY_MS = 1_500
const CONFIRM_MS_MAX = 1_000
const WORDS = 20
const MUTANTS = 20

/** What a policy of this campaign says: which notes it refuses, and whether a role may update. */
interface Says {
  readonly refused: readonly number[]
  readonly roles: readonly string[]
  readonly mark: string
}

const gateYaml = ({ roles, mark }: Says): string => `version: 1
environment: test
permissions:
  - { roles: [${roles.join(', ')}], tools: [items.update, items.list], effect: allow }
rate_limits: [{ limit: 1000000, per_s: 1 }]
guards:
  - { id: few, kind: bulk_limit, tools: [items.list], windows: [{ count: actions, limit: 40, per_s: 3600, scope: agent }] }
# ${mark}
`
const rego = ({ refused }: Says): string => `package agent

refused := {${refused.map((word) => `"w${word}"`).join(', ')}}

deny contains "refused" if input.action.properties.args.note in refused
`
const filesOf = (says: Says): Record<string, string> => ({
  'gate.yaml': gateYaml(says),
  'agent.rego': rego(says),
  'tools.yaml': TOOLS,
})

/** The same again, by hand. */
const effectBy = ({ refused, roles }: Says, role: string, word: number): string =>
  roles.includes(role) && !refused.includes(word) ? 'allow' : 'deny'

interface Decided {
  readonly id: string
  readonly role: string
  readonly word: number
  readonly effect: string
  readonly revision: string
}

const upstream = http.createServer((req, res) => {
  req.resume().on('end', () => res.setHeader('content-type', 'application/json').end('{}'))
})
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
const server = await PostgresServer.start()
const databaseUrl = await server.createDatabase()
const dispatcher = new Agent({ connections: AT_ONCE * 2 })
const first: Says = { refused: [0], roles: ['worker', 'helper'], mark: 'first' }
const gates: GateProcess[] = []
for (let n = 0; n < REPLICAS; n++) {
  const dataDir = scratch('life')
  const policyDir = path.join(dataDir, 'policies')
  writePolicies(policyDir, filesOf(first))
  gates.push(
    new GateProcess(await freePort(), {
      DATA_DIR: dataDir,
      POLICY_DIR: policyDir,
      POLICY_SOURCE: 'database',
      DATABASE_URL: databaseUrl,
      LOG_FILE: path.join(dataDir, 'app.log'),
      TICKETING_API_URL: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    }),
  )
  await gates.at(-1)?.start()
}

const keys = new Map<string, string>()
for (const role of ['worker', 'helper']) {
  const made = await call(0, 'POST', '/api/v1/agents', { name: role, roles: [role] }, MAKER)
  keys.set(role, String(made.body['api_key']))
}
const says = new Map<string, Says>([[await live(0), first]])
const decided: Decided[] = []
const failed: string[] = []
const waits: number[] = []

// ---- publish and roll back under load
const stop = new AbortController()
const load = Array.from({ length: AT_ONCE }, (_, n) => worker(n, stop.signal))
let base = await live(0)
let round = 0
while (decided.length < DECISIONS) {
  round++
  const roles = round % 4 === 0 ? ['worker'] : ['worker', 'helper']
  const next = { refused: [round % WORDS, (round * 7) % WORDS], roles, mark: `round ${round}` }
  base = await publish(round % REPLICAS, next, base)
  await pause(PUBLISH_EVERY_MS)
}
const beforeRollback = decided.length
const [original = ''] = says.keys()
const begun = performance.now()
const back = await call(1, 'POST', '/policy/rollback', { revision: original, reason: 'drill' })
if (back.status !== 200) throw new Error(`no rollback: ${JSON.stringify(back.body)}`)
await everywhere(original, begun)
await pause(PUBLISH_EVERY_MS)
stop.abort()
await Promise.all(load)

const wrong = decided.filter(({ revision, role, word, effect }) => {
  const by = says.get(revision)
  return !by || effectBy(by, role, word) !== effect
})
const sorted = waits.toSorted((a, b) => a - b)
const p99 = sorted[Math.floor((sorted.length - 1) * 0.99)] ?? 0
console.log(
  `${decided.length} decisions by ${new Set(decided.map((one) => one.revision)).size} of ${says.size} revisions, ${decided.length - beforeRollback} of them after the rollback began: ` +
    `${wrong.length} not as their revision decides, ${failed.length} requests failed`,
)
for (const one of failed.slice(0, 5)) console.log(`failed: ${one.slice(0, 300)}`)
console.log(
  `live on ${REPLICAS} replicas after p50 ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ${waits.length} publications`,
)
const lines = await explained()

// ---- replays
const counted = await countersHit()
const same = await replay({ revision: original })
const [from] = [counted.from]
const sameSince = await replay({ revision: original, from })
console.log(
  `replay of ${sum(sameSince)} decisions by the revision that decided them, ${counted.denied} refused by a counter: ${differences(sameSince)} differences`,
)
let unequal = 0
for (let n = 0; n < MUTANTS; n++) {
  const mutant: Says = {
    refused: Array.from({ length: n % 5 }, (_, i) => (n * 3 + i * 7) % WORDS),
    roles: n % 3 === 0 ? ['helper'] : ['worker', 'helper'],
    mark: `mutant ${n}`,
  }
  const report = await replay({ files: filesOf(mutant), tool: 'items.update' })
  const want = { new_allow: 0, new_deny: 0, same: 0 }
  for (const one of decided) {
    const effect = effectBy(mutant, one.role, one.word)
    want[effect === one.effect ? 'same' : effect === 'allow' ? 'new_allow' : 'new_deny']++
  }
  const got = { new_allow: report['new_allow'], new_deny: report['new_deny'], same: report['same'] }
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    unequal++
    console.log(`mutant ${n}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`)
  }
}
console.log(`${MUTANTS} mutants: ${unequal} reports differ from a re-decision of every action`)

for (const gate of gates) await gate.kill('SIGTERM')
server.stop()
upstream.close()
await dispatcher.destroy()
const isHeld =
  wrong.length + failed.length + unequal + differences(sameSince) === 0 &&
  p99 <= CONFIRM_MS_MAX &&
  lines &&
  sum(same) > 0
console.log(isHeld ? 'held' : 'NOT held')
process.exit(isHeld ? 0 : 1)

async function worker(n: number, signal: AbortSignal): Promise<void> {
  for (let at = n; !signal.aborted; at += AT_ONCE) {
    const role = at % 5 === 0 ? 'helper' : 'worker'
    const word = at % WORDS
    const args = { id: `i-${at}`, note: `w${word}` }
    const act = { tool: 'items.update', args }
    const { status, body } = await call(at % REPLICAS, 'POST', '/act', act, keys.get(role))
    const error = (body['error'] ?? {}) as Record<string, unknown>
    const effect = status === 200 ? 'allow' : 'deny'
    if (status !== 200 && error['code'] !== 'policy_denied') {
      failed.push(`${status} ${JSON.stringify(body)}`)
      continue
    }
    const id = String(body['action_id'] ?? error['action_id'])
    const revision = String(body['revision'] ?? error['revision'])
    decided.push({ id, role, word, effect, revision })
    await pause(EVERY_MS)
  }
}

async function publish(on: number, next: Says, from: string): Promise<string> {
  const body = { files: filesOf(next), note: next.mark }
  const begins = performance.now()
  const put = await call(on, 'PUT', '/policy/files', body, ADMIN, { 'if-match': `"${from}"` })
  const revision = String(put.body['revision'])
  if (put.status !== 200) throw new Error(`not published: ${JSON.stringify(put.body)}`)
  says.set(revision, next)
  await everywhere(revision, begins)
  return revision
}

/** Waits until every replica decides by it. */
async function everywhere(revision: string, begins: number): Promise<void> {
  await Promise.all(
    gates.map(async (_, n) => {
      while ((await live(n)) !== revision) await pause(5)
    }),
  )
  waits.push(performance.now() - begins)
}

/** Whether `explain` shows, of decisions of three revisions, the line of the revision that decided. */
async function explained(): Promise<boolean> {
  const refusals = decided.filter(({ effect, role }) => effect === 'deny' && role === 'worker')
  const some = [refusals[0], refusals[Math.floor(refusals.length / 2)], refusals.at(-1)]
  let right = 0
  for (const one of some) {
    const { body } = await call(0, 'GET', `/actions/${one?.id}/explain`)
    const text = JSON.stringify(body)
    if (body['revision'] === one?.revision && text.includes('agent.rego')) right++
    else console.log(`explain of ${one?.id}: ${text.slice(0, 300)}`)
  }
  console.log(
    `explain of ${some.length} refusals: ${right} show the rule of the revision that decided`,
  )
  return right === some.length
}

/** Actions of which a window refuses some. */
async function countersHit(): Promise<{ from: string; denied: number }> {
  const from = new Date().toISOString()
  let denied = 0
  for (let n = 0; n < 120; n++) {
    const key = keys.get(n % 2 ? 'worker' : 'helper')
    const { status } = await call(
      n % REPLICAS,
      'POST',
      '/act',
      { tool: 'items.list', args: {} },
      key,
    )
    if (status !== 200) denied++
  }
  return { from, denied }
}

async function replay(asked: object): Promise<Record<string, number>> {
  const { status, body } = await call(0, 'POST', '/policy/replays', asked)
  if (status !== 202) throw new Error(`no replay: ${JSON.stringify(body)}`)
  for (;;) {
    const { body: one } = await call(0, 'GET', `/policy/replays/${String(body['id'])}`)
    if (one['finished_at'] !== null) {
      if (one['error']) throw new Error(`the replay failed: ${JSON.stringify(one['error'])}`)
      return one['report'] as Record<string, number>
    }
    await pause(50)
  }
}

function differences(report: Record<string, number>): number {
  const { new_allow: allow = 0, new_deny: deny = 0, new_hold: hold = 0, errors = 0 } = report
  return allow + deny + hold + errors
}

function sum(report: Record<string, number>): number {
  return (report['same'] ?? 0) + differences(report)
}

async function live(n: number): Promise<string> {
  return String((await call(n, 'GET', '/policy')).body['revision'])
}

async function call(
  n: number,
  method: 'GET' | 'POST' | 'PUT',
  route: string,
  body?: object,
  key = ADMIN,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await request(`${gates[n]?.url}${route}`, {
    method,
    dispatcher,
    headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await answer.body.text()
  return { status: answer.statusCode, body: JSON.parse(text) as Record<string, unknown> }
}
