// The decisions that the AuthZEN working group publishes for its interop scenarios (github.com/openid/authzen), asked of a gate:
// a todo application, the API gateway before it, and search. The policies are ours, after the scenarios' own text. Each
// answer must be the one that is expected there; prints what was not, and ends with 1.
//
//   npm run campaign:authzen -- DIR    # a copy of that repository
import fs from 'node:fs'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ADMIN, MAKER, TestGate } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'

const [dir] = process.argv.slice(2)
if (!dir) {
  console.error('usage: npm run campaign:authzen -- DIR   (a copy of github.com/openid/authzen)')
  process.exit(2)
}
const PEP = 'key-of-an-enforcement-point'
const INTEROP = path.join(dir, 'interop')

interface Case {
  readonly request: Readonly<Record<string, unknown>>
  readonly expected: unknown
}
type Suite = Readonly<Record<string, readonly Case[]>>
const read = (file: string): unknown =>
  JSON.parse(fs.readFileSync(path.join(INTEROP, file), 'utf8'))

/** What the scenario says of its five people: who they are by their subject, and their roles. */
const PID = (letter: string) =>
  Buffer.from(`\n$fd${letter}614d3-c39a-4781-b7bd-8b96f5a5100d\u0012\u0005local`).toString('base64')
const PEOPLE = Object.fromEntries(
  [
    ['0', 'rick@the-citadel.com', ['admin', 'evil_genius']],
    ['1', 'morty@the-citadel.com', ['editor']],
    ['2', 'summer@the-smiths.com', ['editor']],
    ['3', 'beth@the-smiths.com', ['viewer']],
    ['4', 'jerry@the-smiths.com', ['viewer']],
  ].map(([digit, email, roles]) => [PID(String(digit)), { email, roles }]),
)

const REGO = `package agent

person := data.people[input.subject.id]

# ---- the todo application
reads := {"can_read_user", "can_read_todos"}

writers := {"admin", "evil_genius", "editor"}

some_writer if {
	some role in person.roles
	role in writers
}

allow if {
	input.action.name in reads
	person
}

allow if {
	input.action.name == "can_create_todo"
	some_writer
}

allow if {
	input.action.name in {"can_update_todo", "can_delete_todo"}
	some_writer
	input.resource.properties.ownerID == person.email
}

allow if {
	input.action.name == "can_update_todo"
	"evil_genius" in person.roles
}

allow if {
	input.action.name == "can_delete_todo"
	"admin" in person.roles
}

# ---- the gateway before it
allow if {
	input.resource.type == "route"
	input.action.name == "GET"
	person
}

allow if {
	input.resource.type == "route"
	input.action.name in {"POST", "PUT", "DELETE"}
	some_writer
}

# ---- search
records := {record.id: record.properties | some record in data.records}

users := {user.id: user | some user in data.users}

record := records[input.resource.id]

user := users[input.subject.id]

owns if record.owner == input.subject.id

allow if {
	input.action.name in {"view", "edit", "delete"}
	owns
}

allow if {
	input.action.name == "view"
	record.department == user.department
}

allow if {
	input.action.name == "view"
	record
	user.role == "manager"
}

allow if {
	input.action.name == "edit"
	record.department == user.department
	user.role == "manager"
}
`
const ACTIONS = [
  ...['can_read_user', 'can_read_todos', 'can_create_todo', 'can_update_todo', 'can_delete_todo'],
  ...['GET', 'POST', 'PUT', 'DELETE'],
]
const GATE_YAML = `${GATE}
decision_api:
  actions:
${ACTIONS.map((name) => `    ${name}: { resource_types: [user, todo, route] }`).join('\n')}
    view: { resource_types: [record] }
    edit: { resource_types: [record] }
    delete: { resource_types: [record] }
  subjects: { user: data.users }
  resources: { record: data.records }
`
const records = (read('authzen-search-demo/data/records.json') as { id: number }[]).map(
  ({ id, ...properties }) => ({ id: String(id), properties }),
)
const gate = await TestGate.start({
  policies: {
    'agent.rego': REGO,
    'gate.yaml': GATE_YAML,
    'data/people.json': JSON.stringify(PEOPLE),
    'data/users.json': JSON.stringify(read('authzen-search-demo/data/users.json')),
    'data/records.json': JSON.stringify(records),
  },
  env: { API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}` },
})

const suites: readonly [name: string, route: string, cases: readonly Case[], part: string][] = [
  ...['decisions-authorization-api-1_0-02.json'].flatMap((file) => {
    const suite = read(`authzen-todo-backend/test/${file}`) as Suite
    return [
      ['todo application', '/access/v1/evaluation', suite['evaluation'] ?? [], 'decision'],
      ['todo application, several', '/access/v1/evaluations', suite['evaluations'] ?? [], 'all'],
    ] as [string, string, readonly Case[], string][]
  }),
  [
    'API gateway',
    '/access/v1/evaluation',
    (read('authzen-api-gateways/test-harness/test/decisions.json') as Suite)['evaluation'] ?? [],
    'decision',
  ],
  ...(['subject', 'resource', 'action'] as const).map(
    (kind): [string, string, readonly Case[], string] => [
      `search for ${kind}s`,
      `/access/v1/search/${kind}`,
      (read(`authzen-search-demo/test/${kind}/results.json`) as Suite)['evaluation'] ?? [],
      'results',
    ],
  ),
]

let failed = 0
for (const [name, route, cases, part] of suites) {
  let held = 0
  for (const { request, expected } of cases) {
    const { status, body } = await gate.call('POST', route, { key: PEP, body: request })
    const got = answered(part, body)
    const wanted =
      part === 'results' ? sorted((expected as { results: unknown[] }).results) : expected
    if (status === 200 && isDeepStrictEqual(got, wanted)) held++
    else {
      failed++
      const said = JSON.stringify(got)
      console.log(
        `  ${name}: ${JSON.stringify(request)}: ${status} ${said}, not ${JSON.stringify(wanted)}`,
      )
    }
  }
  console.log(`${name}: ${held} of ${cases.length}`)
}
await gate.stop()
process.exit(failed === 0 ? 0 : 1)

/** The part of an answer that is compared; the order of what a search finds means nothing. */
function answered(part: string, body: Record<string, unknown>): unknown {
  if (part === 'decision') return body['decision']
  if (part === 'results') return sorted((body['results'] ?? []) as unknown[])
  const evaluations = (body['evaluations'] ?? []) as { decision: boolean }[]
  return evaluations.map(({ decision }) => ({ decision }))
}

function sorted(results: readonly unknown[]): unknown[] {
  return results.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}
