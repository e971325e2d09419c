import { once } from 'node:events'
import http from 'node:http'
import { text } from 'node:stream/consumers'
import zlib from 'node:zlib'
import { OPAClient } from '@open-policy-agent/opa'
import { loadPolicy } from '@open-policy-agent/opa-wasm'
import { OPAClient as StyraClient } from '@styra/opa'
import { expect } from 'chai'
import fc from 'fast-check'
import { compile } from '../../../src/rego/index.ts'
import { ADMIN, MAKER, TestGate } from '../../support/gate.ts'
import { GATE, writePolicies } from '../../support/policies.ts'

const PEP = 'key-of-an-enforcement-point'

const AUTHZ = `# METADATA
# entrypoint: true
package authz

default allow := false

allow if input.user == "alice"

allow if {
	input.age >= 18
	input.country in data.countries
}

reasons contains "not alice" if input.user != "alice"

reasons contains "too young" if input.age < 18

total := sum(input.numbers)

echo := input.value

settings.limits.high := 10

nothing if input.user == "nobody at all"

conflict := x if some x in input.many

double(x) := x * 2

fixed.q.r := 1

fixed[x][y] := 2 if {
	some x in ["q", "v"]
	some y in ["s", "t"]
}
`
const HEAVY = `# METADATA
# entrypoint: true
package heavy

wide := [input.text | some _ in numbers.range(1, input.times)]

slow := count([1 | some i in numbers.range(1, 2000); some j in numbers.range(1, 1000); i == j])
`
const SYSTEM = `# portcullis: library
package system.log

secret := 1
`
const AGENT = `package agent

allow if input.action.name == "read"

deny contains "archived" if input.resource.properties.status == "archived"
`
const FILES = {
  'authz.rego': AUTHZ,
  'heavy.rego': HEAVY,
  'system.rego': SYSTEM,
  'agent.rego': AGENT,
  'data/countries.json': '["NL","BE"]',
  'data/people.json': '{"alice":{"role":"admin"}}',
  'gate.yaml': `${GATE}
decision_api:
  actions: { read: { resource_types: [record] } }
  opa: { default: authz/allow }
`,
}

const ALICE = { user: 'alice' }
const question = (id = 'record-1', properties = {}) => ({
  subject: { type: 'user', id: 'alice' },
  action: { name: 'read' },
  resource: { type: 'record', id, properties },
})

describe('the REST API of OPA', function () {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({
      policies: FILES,
      env: { API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}` },
    })
  })
  after(() => gate.stop())

  const ask = (
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Record<string, string> = {},
  ) =>
    fetch(`${gate.gate.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${PEP}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: body as string }),
    })
  const data = async (path: string, input?: unknown) => {
    const answer = await ask('POST', `/v1/data/${path}`, JSON.stringify({ input }))
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }

  for (const [name, client] of [
    ['@open-policy-agent/opa', () => new OPAClient(gate.gate.url, bearer())],
    ['@styra/opa', () => new StyraClient(gate.gate.url, bearer())],
  ] as const) {
    it(`is driven by ${name}: with input, without, the default decision, several at once`, async () => {
      const opa = client()
      expect(await opa.evaluate('authz/allow', ALICE)).to.equal(true)
      expect(await opa.evaluate('authz/allow', { user: 'bob' })).to.equal(false)
      expect(await opa.evaluate('authz/settings')).to.deep.equal({ limits: { high: 10 } })
      expect(await opa.evaluate('authz/nothing', ALICE)).to.equal(undefined)
      expect(await opa.evaluateDefault(ALICE)).to.equal(true)
      const batch = await opa.evaluateBatch('authz/allow', { a: ALICE, b: { user: 'bob' } })
      expect(batch).to.deep.equal({ a: true, b: false })
    })
  }

  const bearer = () => ({ headers: { Authorization: `Bearer ${PEP}` } })

  it('answers packages, rules, what is inside their values, and documents of the directory', async () => {
    const adult = { user: 'bob', age: 20, country: 'NL' }
    expect((await data('authz/allow', adult)).body['result']).to.equal(true)
    expect((await data('authz/reasons', { user: 'bob', age: 3 })).body['result']).to.deep.equal([
      'not alice',
      'too young',
    ])
    expect((await data('authz/settings/limits/high', {})).body['result']).to.equal(10)
    expect((await data('authz/reasons/0', { user: 'bob', age: 20 })).body['result']).to.equal(
      'not alice',
    )
    expect((await data('people/alice/role', {})).body['result']).to.equal('admin')
    expect((await data('countries', {})).body['result']).to.deep.equal(['NL', 'BE'])
    const whole = (await data('authz', ALICE)).body['result'] as Record<string, unknown>
    expect(whole).to.include({ allow: true })
    expect(whole).not.to.have.any.keys('nothing', 'double')
  })

  it('leaves out `result` where the document is undefined, is none, or is the gate’s own', async () => {
    for (const path of [
      'authz/nothing',
      'no/such',
      'authz/double',
      'system/log/secret',
      'system',
    ]) {
      const { status, body } = await data(path, ALICE)
      expect(status, path).to.equal(200)
      expect(body, path).to.have.all.keys('decision_id')
    }
  })

  it('keeps every digit of a number, in and out', async () => {
    const digits = '12345678901234567890123.4500'
    const sent = await ask('POST', '/v1/data/authz/echo', `{"input":{"value":[${digits},1e999]}}`)
    expect(await sent.text()).to.match(
      /^\{"result":\[12345678901234567890123\.45(?:00)?,1e\+?999\]/,
    )
    const big = await ask(
      'POST',
      '/v1/data/authz/total',
      '{"input":{"numbers":[9007199254740993,1]}}',
    )
    expect(await big.text()).to.contain('"result":9007199254740994')
  })

  it('takes GET with the input in the query, and no HEAD', async () => {
    const input = encodeURIComponent(JSON.stringify(ALICE))
    const got = await ask('GET', `/v1/data/authz/allow?input=${input}&pretty=true&explain=full`)
    expect(await got.json()).to.deep.include({ result: true, explanation: [] })
    expect((await ask('HEAD', '/v1/data/authz/allow')).status).to.equal(405)
  })

  it('takes the whole body as input at /v0/data and /, and answers the value by itself', async () => {
    const v0 = await ask('POST', '/v0/data/authz/reasons', '{"user":"bob"}')
    expect(await v0.json()).to.deep.equal(['not alice'])
    const root = await ask('POST', '/', '{"user":"bob"}')
    expect(await root.json()).to.equal(false)
    const none = await ask('POST', '/v0/data/authz/nothing', '{}')
    expect(none.status).to.equal(404)
    expect(await none.json()).to.include({ code: 'resource_not_found' })
  })

  it('says which inputs of a batch could not be evaluated', async () => {
    const inputs = { good: { many: [1] }, bad: { many: [1, 2] } }
    const mixed = await ask('POST', '/v1/batch/data/authz/conflict', JSON.stringify({ inputs }))
    expect(mixed.status).to.equal(207)
    const { responses } = (await mixed.json()) as {
      responses: Record<string, Record<string, unknown>>
    }
    expect(responses['good']).to.include({ http_status_code: '200', result: 1 })
    expect(responses['bad']).to.include({ http_status_code: '500', code: 'internal_error' })
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`i${n}`, {}]))
    const tooMany = await ask(
      'POST',
      '/v1/batch/data/authz/allow',
      JSON.stringify({ inputs: many }),
    )
    expect(tooMany.status).to.equal(400)
  })

  it('answers below a package what a rule above it says', async () => {
    const merged = { r: 1, s: 2, t: 2 }
    expect((await data('authz/fixed/q', {})).body['result']).to.deep.equal(merged)
    expect((await data('authz/fixed/q/s', {})).body['result']).to.equal(2)
    expect((await data('authz/fixed/q/r', {})).body['result']).to.equal(1)
    expect((await data('authz/fixed/v/s', {})).body['result']).to.equal(2)
    expect((await data('authz/fixed/v/r', {})).body).not.to.have.property('result')
  })

  it('bounds what the answers of a batch take together, in characters', async () => {
    const input = { text: 'x'.repeat(20_000), times: 100 }
    const inputs = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`i${n}`, input]))
    const answer = await ask('POST', '/v1/batch/data/heavy/wide', JSON.stringify({ inputs }))
    expect(answer.status).to.equal(207)
    expect((await answer.text()).length).to.be.below(7_000_000)
  })

  it('bounds what the answers of a batch take together, in time, and a stop comes in between', async () => {
    const inputs = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`i${n}`, {}]))
    const batch = ask('POST', '/v1/batch/data/heavy/slow', JSON.stringify({ inputs }))
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', { body: { engaged, scope: {}, reason: 'a test' } })
    expect((await kill(true)).status).to.equal(200)
    await kill(false)
    // Each takes more than a hundredth of what all may take: they cannot all be answered.
    expect((await batch).status).to.be.oneOf([207, 500, 503])
  })

  it('answers 500 in OPA’s words where the evaluation fails', async () => {
    const { status, body } = await data('authz/conflict', { many: [1, 2] })
    expect(status).to.equal(500)
    expect(body).to.include({ code: 'internal_error' })
  })

  it('takes bodies packed with gzip, as large as others and no larger', async () => {
    const packed = (text: string) =>
      ask('POST', '/v1/data/authz/allow', zlib.gzipSync(text), { 'content-encoding': 'gzip' })
    expect(await (await packed(JSON.stringify({ input: ALICE }))).json()).to.include({
      result: true,
    })
    const spaces = ' '.repeat(2 << 20)
    expect((await packed(`{"input":{}}${spaces}`)).status).to.equal(413)
    const plain = await ask('POST', '/v1/data/authz/allow', '{"input":{}}', {
      'content-encoding': 'gzip',
    })
    expect(plain.status).to.equal(400)
    const other = await ask('POST', '/v1/data/authz/allow', '{}', { 'content-encoding': 'br' })
    expect(other.status).to.equal(415)
  })

  for (const [says, body] of [
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a member twice', '{"input":1,"input":2}'],
    ['text behind it', '{} {}'],
  ] as const) {
    it(`refuses a body that is ${says}`, async () => {
      const answer = await ask('POST', '/v1/data/authz/allow', body)
      expect(answer.status).to.equal(400)
      expect(await answer.json()).to.include({ code: 'invalid_parameter' })
    })
  }

  it('answers `agent/decision` from the whole gate', async () => {
    const allowed = (await data('agent/decision', question())).body['result'] as { effect: string }
    expect(allowed).to.include({ effect: 'allow' })
    const archived = (await data('agent/decision', question('r', { status: 'archived' }))).body
    expect(archived['result']).to.deep.include({ effect: 'deny' })
    const unknown = { ...question(), action: { name: 'burn' } }
    expect((await data('agent/decision', unknown)).body['result']).to.deep.include({
      effect: 'deny',
      reasons: [{ code: 'no_such_action' }],
    })
    expect((await data('agent/decision', { user: 'alice' })).status).to.equal(400)
    // Pure Rego, as OPA answers: the rule alone, whatever else would deny.
    expect((await data('agent/allow', unknown)).body).not.to.have.property('result')
  })

  it('keeps each answer on record first, with what was asked and said', async () => {
    const { body } = await data('authz/allow', ALICE)
    const route = '/audit/timeline?kind=decision.document&limit=1'
    const [entry] = (await gate.call('GET', route)).body.entries
    expect(entry.decision_id).to.equal(body['decision_id'])
    expect(entry).to.include({ effect: 'allow' })
    expect(entry).to.deep.include({
      path: 'data/authz/allow',
      input: ALICE,
      result: true,
      surface: 'opa',
      enforced_by: 'caller',
    })
  })

  it('answers nothing while everything is stopped', async () => {
    await gate.call('PUT', '/kill-switch', { body: { engaged: true, scope: {}, reason: 'a test' } })
    try {
      const { status, body } = await data('authz/allow', ALICE)
      expect(status).to.equal(503)
      expect(body).to.include({ code: 'kill_switch_engaged' })
    } finally {
      await gate.call('PUT', '/kill-switch', {
        body: { engaged: false, scope: {}, reason: 'a test' },
      })
    }
    expect((await data('authz/allow', ALICE)).body['result']).to.equal(true)
  })

  it('is for enforcement points, and changes nothing', async () => {
    const agent = await gate.agent('opa-agent')
    const asAgent = await ask('POST', '/v1/data/authz/allow', '{}', {
      authorization: `Bearer ${agent}`,
    })
    expect(asAgent.status).to.equal(403)
    expect(await asAgent.json()).to.include({ code: 'unauthorized' })
    const noKey = await fetch(`${gate.gate.url}/v1/data/authz/allow`, { method: 'POST' })
    expect(noKey.status).to.equal(401)
    for (const [method, path] of [
      ['PUT', '/v1/data/countries'],
      ['PATCH', '/v1/data/countries'],
      ['DELETE', '/v1/data/countries'],
      ['PUT', '/v1/policies/x'],
      ['DELETE', '/v1/policies/authz.rego'],
    ] as const) {
      const answer = await ask(method, path, method === 'DELETE' ? undefined : '{}')
      expect(answer.status, `${method} ${path}`).to.equal(403)
    }
    for (const path of ['/v1/query', '/v1/compile', '/v1/compile/authz/allow']) {
      const answer = await ask('POST', path, '{}')
      expect(answer.status, path).to.equal(501)
      expect(await answer.json()).to.include({ code: 'not_implemented' })
    }
  })

  it('shows the Rego of the live policy', async () => {
    const all = await gate.call('GET', '/v1/policies')
    expect(all.body.result.map(({ id }: { id: string }) => id)).to.have.members([
      'agent.rego',
      'authz.rego',
      'heavy.rego',
      'system.rego',
    ])
    const one = await gate.call('GET', '/v1/policies/authz.rego')
    expect(one.body.result).to.deep.equal({ id: 'authz.rego', raw: AUTHZ })
    expect((await gate.call('GET', '/v1/policies/none.rego')).status).to.equal(404)
  })

  it('gives the answers of OPA’s own runtime to 1,000 inputs', async () => {
    const compiled = compile({ modules: { 'authz.rego': AUTHZ }, entrypoints: ['authz'] })
    if (!compiled.ok) throw new Error('it does not compile')
    const opa = await loadPolicy(Buffer.from(compiled.wasm))
    opa.setData({ countries: ['NL', 'BE'] })
    const inputs = fc.sample(
      fc.record(
        {
          user: fc.constantFrom('alice', 'bob', 'zoë', ''),
          age: fc.oneof(
            fc.integer({ min: 0, max: 40 }),
            fc.double({ noNaN: true, min: -1, max: 99 }),
          ),
          country: fc.constantFrom('NL', 'DE', null),
          numbers: fc.array(fc.integer({ min: -1_000, max: 1_000 }), { maxLength: 4 }),
          value: fc.jsonValue({ maxDepth: 2 }),
        },
        { requiredKeys: [] },
      ),
      { numRuns: 1_000, seed: 26 },
    )
    for (let at = 0; at < inputs.length; at += 100) {
      const some = Object.fromEntries(inputs.slice(at, at + 100).map((one, n) => [`i${n}`, one]))
      const answer = await ask('POST', '/v1/batch/data/authz', JSON.stringify({ inputs: some }))
      const { responses } = (await answer.json()) as {
        responses: Record<string, { result?: unknown }>
      }
      for (const [name, input] of Object.entries(some)) {
        const [expected] = opa.evaluate(input, 'authz') as { result: unknown }[]
        expect(responses[name]?.result, JSON.stringify(input)).to.deep.equal(expected?.result)
      }
    }
  })

  it('names the default decision of the policy that answers, though another one came with the body', async () => {
    const changing = await TestGate.start({
      policies: FILES,
      env: { API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}` },
    })
    try {
      const body = JSON.stringify({ user: 'alice', numbers: [1, 2] })
      const headers = {
        authorization: `Bearer ${PEP}`,
        'content-type': 'application/json',
        'content-length': body.length,
      }
      const request = http.request(changing.gate.url, { method: 'POST', headers })
      const answered = once(request, 'response')
      request.write(body.slice(0, 5))
      // Answered behind it on the other connection, so the head of the first request has been read.
      expect((await changing.call('GET', '/policy')).status).to.equal(200)
      const other = FILES['gate.yaml'].replace('authz/allow', 'authz/total')
      writePolicies(changing.policyDir, { ...FILES, 'gate.yaml': other })
      expect((await changing.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
      request.end(body.slice(5))
      const [response] = (await answered) as [http.IncomingMessage]
      expect(await text(response)).to.equal('3')
    } finally {
      await changing.stop()
    }
  })
})
