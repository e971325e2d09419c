import { expect } from 'chai'
import { isDeepStrictEqual } from 'node:util'
import type { Json, JsonObject } from '../../../../src/model/json.ts'
import {
  AccessGate,
  gateYaml,
  type Approval,
  type Question,
} from '../../../support/access-requests.ts'

// Section 21.1.2, Confused Deputy and Request Substitution: whatever is bound is bound to the last member. Each mutation of a
// question is sent in with the token of its denial, and asked with its approval; all of them must be refused.

const QUESTION: Question = {
  subject: {
    type: 'user',
    id: 'alice',
    properties: { team: 'a', level: 3, tags: ['x', 'y'], manager: { id: 'bob', active: true } },
    issuer: 'https://idp.example',
  },
  action: {
    name: 'publish',
    properties: { soft: true, reason: null, parts: [{ n: 1 }, { n: 2 }] },
  },
  resource: {
    type: 'page',
    id: 'page-1',
    properties: {
      owner: 'carol',
      size: 12.5,
      labels: ['draft'],
      where: { site: 'main', path: '/a' },
    },
  },
  context: { channel: 'web', amount: 100, urgent: false, device: { os: 'linux', seen: [1, 2] } },
}

/** Every value that differs from this one in one place. */
function* mutations(value: Json): Generator<Json> {
  if (typeof value === 'string') yield* [`${value} `, value.toUpperCase(), '', null, [value], 7]
  else if (typeof value === 'number') yield* [value + 1, -value, String(value), null]
  else if (typeof value === 'boolean') yield* [!value, String(value), null]
  else if (value === null) yield* [false, '', {}]
  else if (Array.isArray(value)) yield* mutatedList(value)
  else yield* mutatedObject(value as JsonObject)
}

function* mutatedList(list: readonly Json[]): Generator<Json> {
  yield [...list, 'more']
  yield list.slice(1)
  if (list.length > 1) yield list.toReversed()
  for (const [at, item] of list.entries()) {
    for (const other of mutations(item)) yield list.with(at, other)
  }
}

function* mutatedObject(object: JsonObject): Generator<Json> {
  yield { ...object, added: true }
  for (const [name, item] of Object.entries(object)) {
    const { [name]: _, ...rest } = object
    yield rest
    yield { ...rest, [`${name}_`]: item }
    for (const other of mutations(item)) yield { ...object, [name]: other }
  }
}

// Who asks people may say more in the context than was denied.
const isMore = (mutated: Question): boolean => {
  const { added: _, ...rest } = mutated.context as JsonObject
  return isDeepStrictEqual({ ...mutated, context: rest }, QUESTION)
}

const NAMES = Object.keys(QUESTION).sort()

const MUTATIONS = [...mutations(QUESTION as unknown as JsonObject)]
  .filter((one) => isDeepStrictEqual(Object.keys(one as JsonObject).sort(), NAMES))
  .map((one) => one as unknown as Question)
  .filter((one) => !isMore(one))

describe('access requests: mutations of what is bound', function () {
  let access: AccessGate
  before(async () => {
    access = await AccessGate.start()
    // The policy sees nothing of what is changed, so that only the binding can refuse.
    const rego = `package agent

allow if true

require_approval contains "somebody looks at it"
`
    await access.live({ 'agent.rego': rego, 'gate.yaml': gateYaml() })
  })
  after(() => access.gate.stop())

  it('has more than 100, each unlike the question and unlike all others', () => {
    expect(MUTATIONS.length).to.be.greaterThan(100)
    const texts = new Set(MUTATIONS.map((one) => JSON.stringify(one)))
    expect(texts.size).to.equal(MUTATIONS.length)
    expect(texts.has(JSON.stringify(QUESTION))).to.equal(false)
  })

  it('refuses each with the token of the denial, and takes the question itself after all of them', async () => {
    const denial = await access.denied(QUESTION)
    let unbound = 0
    for (const mutated of MUTATIONS) {
      const { status, body, text } = await access.submit({ ...mutated, denial })
      expect(status, `${JSON.stringify(mutated)}\n${text}`).to.equal(400)
      if (body.type?.endsWith(':invalid_denial_binding')) unbound++
    }
    expect(unbound).to.be.greaterThan(100)
    expect((await access.submit({ ...QUESTION, denial })).status).to.equal(202)
  })

  it('refuses each with the approval, and allows the question itself after all of them', async () => {
    const { approval } = await access.approved(QUESTION)
    let outOfScope = 0
    for (const mutated of MUTATIONS) {
      const { status, body, text } = await ask(mutated, approval)
      const isRefused = status === 400 || (status === 200 && body.decision === false)
      expect(isRefused, `${JSON.stringify(mutated)}\n${text}`).to.equal(true)
      if (body.context?.reason === 'out_of_scope') outOfScope++
    }
    expect(outOfScope).to.be.greaterThan(100)
    expect((await ask(QUESTION, approval)).body.decision).to.equal(true)
  })

  const ask = (asking: Question, approval: Approval) => access.again(asking, approval)
})
