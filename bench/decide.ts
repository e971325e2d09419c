// Time of one decision in process: 10 guards of every kind that reads args, a request of about 1 KB,
// no module. Each sample is one call, timed by the monotonic clock, after a warm-up; p50 and p99 are
// over all samples of the best of five rounds, so that a busy machine shows less. Run:
//   node --import tsx bench/decide.ts
import { decide, KINDS } from '../src/decide/index.ts'
import type { Facts } from '../src/model/facts.ts'
import type { ActionRequest } from '../src/model/request.ts'
import { loadBundle } from '../src/policy/index.ts'

const WARM_UP = 20_000
const SAMPLES = 50_000
const ROUNDS = 5

const GATE = `version: 1
environment: production
permissions:
  - { roles: [support], tools: ['mail.*'], effect: allow }
  - { roles: [support], tools: [mail.send], effect: require_approval, when: { args: { urgent: true } } }
guards:
  - { id: bulk, kind: bulk_limit, max_items: 10, windows: [{ count: actions, limit: 5, per_s: 60 }, { count: recipients, limit: 50, per_s: 3600 }] }
  - { id: dnc, kind: do_not_contact, tools: [mail.send], lists: [blocked], strip_plus_tags: true, flag: { fact: customer, pointer: /stop } }
  - { id: risk, kind: risk_patterns, sets: [command_execution, secrets, urls, path_traversal] }
  - { id: paths, kind: path_whitelist, tools: [mail.send], allowed_dirs: [outbox], deny_globs: ['**/secrets/**', '*.pem'] }
  - { id: hours, kind: time_window, timezone: Europe/Berlin, days: [mon, tue, wed, thu, fri, sat, sun] }
  - { id: shape, kind: args_schema, schema: { properties: { subject: { maxLength: 200 } } } }
budgets:
  - { id: money, limit: '50.00', per_action_limit: '1.00' }
rate_limits:
  - { id: rate, limit: 5, per_s: 1 }
`

const TOOLS = `version: 1
upstreams: { mail: { base_url: 'http://127.0.0.1:1' } }
tools:
  mail.send:
    upstream: mail
    method: POST
    path: /customers/{id}/mail
    effect: irreversible
    cost: '0.05'
    recipients: [/to]
    paths: [/attachment]
    resource: { type: customer, id_arg: id }
    facts: { customer: { tool: mail.customer, args: { id: /id } } }
    args:
      required: [id, to, subject, body]
      properties:
        id: { type: string }
        to: { type: array, items: { type: string } }
        subject: { type: string }
        body: { type: string }
        attachment: { type: string }
        urgent: { type: boolean }
  mail.customer:
    upstream: mail
    method: GET
    path: /customers/{id}
    effect: read
    args: { required: [id], properties: { id: { type: string } } }
`

const BODY =
  'Thank you for waiting. We looked at the account on Tuesday and found a wrong setting; it was corrected, and the report you asked for is attached. '

const request: ActionRequest = {
  subject: { type: 'agent', id: 'agent-1' },
  action: {
    name: 'mail.send',
    properties: {
      id: 'C-1001',
      to: ['alice@example.com', 'carol@example.org'],
      subject: 'Your request of last week',
      body: BODY.repeat(5),
      attachment: 'outbox/report.pdf',
    },
  },
  resource: null,
  context: { ticket: 'T-1001', channel: 'mail', note: 'customer asked for the report' },
  reason: 'the customer asked for the report and the ticket is resolved',
  costMicros: null,
}

const facts: Facts = {
  nowMs: Date.UTC(2026, 10, 19, 10, 30),
  agent: {
    id: 'agent-1',
    name: 'one',
    owner: 'team',
    roles: ['support'],
    status: 'active',
    properties: {},
  },
  lookups: { customer: { stop: false } },
  unavailable: {},
}

const blocked = Array.from({ length: 10_000 }, (_, n) => `person${n}@blocked.example`)
const files = {
  'gate.yaml': GATE,
  'tools.yaml': TOOLS,
  'data/blocked.json': JSON.stringify(blocked),
}
const loaded = await loadBundle(files, { ...KINDS, env: {}, nowMs: 0 })
if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics))
const { bundle } = loaded

const effect = (await decide(request, facts, bundle)).effect
const guards = bundle.guardsByTool.get('mail.send')?.length ?? 0
console.log(
  `${guards} guards, ${JSON.stringify(request.action.properties).length} bytes of args -> ${effect}`,
)

for (let n = 0; n < WARM_UP; n++) void decide(request, facts, bundle)
const rounds = Array.from({ length: ROUNDS }, round)
rounds.sort((a, b) => a.p50 - b.p50)
console.log(
  `p50 ${rounds[0]?.p50} us   p99 ${rounds[0]?.p99} us   (best of ${ROUNDS} rounds of ${SAMPLES})`,
)

function round(): { p50: number; p99: number } {
  const took = new Float64Array(SAMPLES)
  for (let n = 0; n < SAMPLES; n++) {
    const start = performance.now()
    void decide(request, facts, bundle)
    took[n] = (performance.now() - start) * 1000
  }
  took.sort()
  const at = (share: number) => Math.round((took[Math.floor(SAMPLES * share)] ?? 0) * 10) / 10
  return { p50: at(0.5), p99: at(0.99) }
}
