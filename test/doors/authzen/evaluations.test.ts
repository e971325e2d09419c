import { expect } from 'chai'
import { ADMIN, MAKER, TestGate } from '../../support/gate.ts'
import { GATE } from '../../support/policies.ts'
import { rawOne, rawRequest } from '../../support/raw.ts'

const PEP = 'key-of-an-enforcement-point'
const URL = 'https://gate.example/pdp'

/** The policy of the certification scenario: two people, two records, one of them archived. */
const SCENARIO = `package agent

default allow := false

role := object.get(input.subject, ["properties", "role"], "")

status := object.get(input.resource, ["properties", "status"], "")

known if {
	input.subject.type == "user"
	input.subject.id in {"alice", "bob"}
	input.resource.id in {"record-1", "record-2"}
}

allow if {
	input.action.name == "read"
	known
}

allow if {
	input.action.name == "write"
	input.subject.id == "alice"
	known
	status != "archived"
}

allow if {
	input.action.name == "write"
	role == "admin"
	status == "archived"
}

allow if {
	input.action.name == "delete"
	input.subject.id == "alice"
	input.action.properties.soft == true
}

obligations contains {"id": "o1", "type": "step-up", "properties": {"acr_value": "mfa"}} if {
	input.action.name == "export"
}

allow if input.action.name == "export"

require_approval contains "somebody looks at it" if input.action.name == "publish"

allow if input.action.name == "publish"
`
const POLICIES = {
  'agent.rego': SCENARIO,
  'gate.yaml': `${GATE}
decision_api:
  actions:
    read: { resource_types: [record] }
    write: { resource_types: [record] }
    delete: { resource_types: [record] }
    export: {}
    publish: {}
`,
}

const subject = (id: string, properties?: object) => ({
  type: 'user',
  id,
  ...(properties ? { properties } : {}),
})
const record = (id: string, properties?: object) => ({
  type: 'record',
  id,
  ...(properties ? { properties } : {}),
})
const ARCHIVED = { status: 'archived' }
const READ = { subject: subject('alice'), action: { name: 'read' }, resource: record('record-1') }

const SCENARIO_CASES: readonly [asked: object, decision: boolean][] = [
  [READ, true],
  [{ ...READ, action: { name: 'write' } }, true],
  [{ ...READ, subject: subject('bob') }, true],
  [{ ...READ, subject: subject('bob'), action: { name: 'write' } }, false],
  [{ ...READ, action: { name: 'write' }, resource: record('record-2', ARCHIVED) }, false],
  [
    {
      subject: subject('bob', { role: 'admin' }),
      action: { name: 'write' },
      resource: record('record-2', ARCHIVED),
    },
    true,
  ],
  [{ ...READ, action: { name: 'delete', properties: { soft: true } } }, true],
  [{ ...READ, action: { name: 'delete', properties: { soft: false } } }, false],
]

const MALFORMED: readonly [says: string, body: object][] = [
  ['no subject', { action: READ.action, resource: READ.resource }],
  ['no action', { subject: READ.subject, resource: READ.resource }],
  ['no resource', { subject: READ.subject, action: READ.action }],
  ['no subject.type', { ...READ, subject: { id: 'alice' } }],
  ['no subject.id', { ...READ, subject: { type: 'user' } }],
  ['no action.name', { ...READ, action: {} }],
  ['no resource.type', { ...READ, resource: { id: 'record-1' } }],
  ['no resource.id', { ...READ, resource: { type: 'record' } }],
  ['a subject that is text', { ...READ, subject: 'alice' }],
  ['an action that is a list', { ...READ, action: ['read'] }],
  ['an id that is a number', { ...READ, subject: { type: 'user', id: 7 } }],
  ['properties that are text', { ...READ, subject: { ...READ.subject, properties: 'x' } }],
  ['a context that is text', { ...READ, context: 'x' }],
]

describe('AuthZEN 1.0', function () {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({
      policies: POLICIES,
      env: {
        API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`,
        PUBLIC_SERVER_URL: URL,
      },
    })
  })
  after(() => gate.stop())

  const ask = (body: unknown, key = PEP) =>
    gate.call('POST', '/access/v1/evaluation', { key, body })
  const askAll = (body: unknown) => gate.call('POST', '/access/v1/evaluations', { key: PEP, body })
  const decisions = (answer: { body: { evaluations: { decision: boolean }[] } }) =>
    answer.body.evaluations.map(({ decision }) => decision)

  describe('section 6, an evaluation', () => {
    for (const [index, [asked, decision]] of SCENARIO_CASES.entries()) {
      it(`of the certification scenario, ${index + 1}: ${decision}`, async () => {
        const { status, body } = await ask(asked)
        expect([status, body.decision]).to.deep.equal([200, decision])
        expect(body.context.evaluation_id).to.match(/^dec_/)
        if (!decision) expect(body.context.reason).to.equal('no_permission')
      })
    }

    for (const [says, body] of MALFORMED) {
      it(`6.1, 10.1.2: with ${says} is a 400`, async () => {
        expect((await ask(body)).status).to.equal(400)
      })
    }

    it('6.1: passes over members that it does not know', async () => {
      const { body } = await ask({
        ...READ,
        future: { x: 1 },
        subject: { ...READ.subject, hint: 1 },
      })
      expect(body.decision).to.equal(true)
    })

    it('10.1.1: of another media type, empty or of malformed JSON is a 400', async () => {
      const one = (type: string, text: string) =>
        rawOne(
          gate.gate.url,
          ...rawRequest(
            'POST /access/v1/evaluation HTTP/1.1',
            [
              'Host: gate',
              `X-API-Key: ${PEP}`,
              `Content-Type: ${type}`,
              `Content-Length: ${text.length}`,
            ],
            text,
          ),
        )
      const whole = JSON.stringify(READ)
      for (const [type, text] of [
        ...[
          ['text/plain', whole],
          ['application/json', ''],
          ['application/json', '{"subject":'],
        ],
        ...[
          ['application/json', '[]'],
          ['application/json', '{"subject":1,"subject":2}'],
        ],
      ] as const) {
        expect((await one(type, text)).status, `${type} ${text}`).to.equal(400)
      }
      expect((await one('application/json', whole)).status).to.equal(200)
    })

    it('10.1.1: of names that no record could hold is a 400', async () => {
      const long = Array.from({ length: 1_000 }, (_, at) => String.fromCodePoint(0x4e00 + at * 17))
      for (const name of ['a\u0000', long.join('')]) {
        for (const asked of [
          { ...READ, action: { name } },
          { ...READ, subject: { type: 'user', id: name } },
          { ...READ, resource: { type: name, id: 'record-1' } },
        ]) {
          const { status } = await gate.call('POST', '/access/v1/evaluation', {
            key: PEP,
            body: asked,
          })
          expect(status).to.equal(400)
        }
      }
    })

    it('10.1.3: gives the X-Request-ID back as it came', async () => {
      const id = 'a/b=c+d:{e}~'
      const { headers } = await gate.call('POST', '/access/v1/evaluation', {
        key: PEP,
        body: READ,
        headers: { 'X-Request-ID': id },
      })
      expect(headers.get('x-request-id')).to.equal(id)
    })

    it('is for enforcement points and the admin; without a key it is a 401', async () => {
      expect((await ask(READ, 'wrong')).status).to.equal(401)
      expect((await ask(READ, ADMIN)).status).to.equal(200)
      const other = await gate.call('POST', '/api/v1/keys', {
        body: { role: 'observer', name: 'looks' },
      })
      expect((await ask(READ, other.body.key)).status).to.equal(403)
      expect((await gate.call('GET', '/actions', { key: PEP })).status).to.equal(403)
    })

    it('lets keys of enforcement points be issued', async () => {
      const { status, body } = await gate.call('POST', '/api/v1/keys', {
        body: { role: 'pep', name: 'second-edge' },
      })
      expect(status).to.equal(201)
      expect((await ask(READ, body.key)).body.decision).to.equal(true)
    })

    it('of an action that may not be asked about is denied, as is a resource that it is not for', async () => {
      const undeclared = await ask({ ...READ, action: { name: 'sell' } })
      expect(undeclared.body).to.have.nested.property('context.reason', 'no_such_action')
      const other = await ask({ ...READ, resource: { type: 'car', id: 'record-1' } })
      expect(other.body.decision).to.equal(false)
      expect(other.body.context.reason).to.equal('no_such_action')
    })

    it('of what a person must approve first is no permission', async () => {
      const { body } = await ask({ ...READ, action: { name: 'publish' } })
      expect(body.decision).to.equal(false)
      expect(body.context.reason).to.equal('approval_required')
    })

    it('says what must be done besides', async () => {
      const { body } = await ask({ ...READ, action: { name: 'export' } })
      expect(body.decision).to.equal(true)
      expect(body.context.obligations).to.deep.equal([
        { id: 'o1', type: 'step-up', properties: { acr_value: 'mfa' } },
      ])
    })
  })

  it('of a key that asks more than its rate is a 429 that says when to ask again', async () => {
    const slow = await TestGate.start({
      policies: POLICIES,
      env: { API_TOKENS: `pep:edge:${PEP},admin:tester:${ADMIN}`, PEP_RATE_PER_S: '1' },
    })
    try {
      const evaluations = Array.from({ length: 90 }, () => ({}))
      const many = (key: string) =>
        slow.call('POST', '/access/v1/evaluations', { key, body: { ...READ, evaluations } })
      expect((await many(PEP)).status).to.equal(200)
      const { status, headers, body } = await many(PEP)
      expect([status, body.error?.code]).to.deep.equal([429, 'rate_limited'])
      expect(Number(headers.get('retry-after'))).to.be.greaterThan(0)
      expect((await many(ADMIN)).status).to.equal(200)
    } finally {
      await slow.stop()
    }
  })

  describe('of agents', () => {
    it('knows them by id and name, with the roles of the registry and not those that are said', async () => {
      const key = await gate.agent('asked-about')
      const tool = { action: { name: 'items.update', properties: { id: 'i-1' } } }
      const about = (id: string, properties = {}) => ({
        ...tool,
        subject: { type: 'agent', id, properties },
        resource: { type: 'tool', id: 'items.update' },
      })
      expect((await ask(about('asked-about'))).body.decision).to.equal(true)
      await gate.agent('powerless', ['nobody'])
      const { body } = await ask(about('powerless', { roles: ['worker'] }))
      expect(body.decision).to.equal(false)
      expect((await ask(about('no-such'))).body.context.reason).to.equal('unknown_subject')
      expect((await ask(about('asked-about'), key)).body.decision).to.equal(true)
      expect((await ask(about('powerless'), key)).status).to.equal(403)
      expect(gate.upstream.effects).to.have.length(0)
    })

    it('denies under the kill switch, and takes nothing', async () => {
      const kill = (engaged: boolean) =>
        gate.call('PUT', '/kill-switch', {
          body: { engaged, scope: { tool: 'read' }, reason: 'drill' },
        })
      await kill(true)
      const { body } = await ask(READ)
      expect([body.decision, body.context.reason]).to.deep.equal([false, 'kill_switch_engaged'])
      await kill(false)
      expect((await ask(READ)).body.decision).to.equal(true)
    })
  })

  it('with `consume` takes the agent’s rate and says so; of others there is none to take', async () => {
    const rated = GATE.replace('{ limit: 100000, per_s: 1 }', '{ limit: 2, per_s: 86400 }')
    const actions = 'actions: { read: { resource_types: [record] } }'
    const taking = await TestGate.start({
      policies: {
        'agent.rego': SCENARIO,
        'gate.yaml': `${rated}\ndecision_api: { consume: true, ${actions} }\n`,
      },
      env: { API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}` },
    })
    try {
      await taking.agent('is-rated')
      const about = (body: object) =>
        taking.call('POST', '/access/v1/evaluation', { key: PEP, body })
      const question = {
        subject: { type: 'agent', id: 'is-rated' },
        action: { name: 'items.update', properties: { id: 'i-1' } },
        resource: { type: 'tool', id: 'items.update' },
      }
      const answers = [await about(question), await about(question), await about(question)]
      expect(answers.map(({ body }) => body.decision)).to.deep.equal([true, true, false])
      expect(answers[0]?.body.context.portcullis.consumed).to.have.length(1)
      const stranger = await about(READ)
      expect(stranger.body.decision).to.equal(true)
      expect(stranger.body.context).not.to.have.property('portcullis')
    } finally {
      await taking.stop()
    }
  })

  it('records each decision, with who asked, where, and who enforces it', async () => {
    const { body } = await ask(READ)
    const { body: timeline } = await gate.call(
      'GET',
      '/audit/timeline?tool=read&kind=decision&limit=1',
    )
    const [entry] = timeline.entries
    expect(entry.decision_id).to.equal(body.context.evaluation_id)
    expect(entry).to.include({ surface: 'authzen', enforced_by: 'caller', dry_run: false })
    expect(entry.subject).to.deep.equal({ type: 'user', id: 'alice' })
  })

  describe('section 7, evaluations', () => {
    const TWO = [{ resource: record('record-1') }, { resource: record('record-9') }]

    it('7.1: without a list, or with an empty one, are one evaluation', async () => {
      expect((await askAll(READ)).body.decision).to.equal(true)
      expect((await askAll({ ...READ, evaluations: [] })).body.decision).to.equal(true)
    })

    it('7.1.1: take from the request what they do not say, whole', async () => {
      const answer = await askAll({ ...READ, evaluations: TWO })
      expect(answer.body).not.to.have.property('decision')
      expect(decisions(answer)).to.deep.equal([true, false])
      const replaced = await askAll({
        action: { name: 'write' },
        subject: subject('bob', { role: 'admin' }),
        resource: record('record-2', ARCHIVED),
        evaluations: [{}, { subject: subject('bob') }],
      })
      expect(decisions(replaced)).to.deep.equal([true, false])
    })

    it('7.1.2: one that lacks something is a denial that says so, and the others are answered', async () => {
      const answer = await askAll({
        subject: READ.subject,
        action: READ.action,
        evaluations: [{}, { resource: record('record-1') }],
      })
      expect([answer.status, decisions(answer)]).to.deep.equal([200, [false, true]])
      expect(answer.body.evaluations[0].context.error).to.include({ status: 400 })
    })

    it('7.1.2.1: stop after the first denial, or permit, where that is asked for', async () => {
      const all = [TWO[0], TWO[1], TWO[0]]
      const by = async (semantic: string, evaluations: readonly unknown[]) =>
        decisions(
          await askAll({ ...READ, evaluations, options: { evaluations_semantic: semantic } }),
        )
      expect(await by('execute_all', all)).to.deep.equal([true, false, true])
      expect(await by('deny_on_first_deny', all)).to.deep.equal([true, false])
      expect(await by('permit_on_first_permit', [TWO[1], TWO[0], TWO[1]])).to.deep.equal([
        false,
        true,
      ])
      expect(await by('deny_on_first_deny', [{ subject: 1 }, TWO[0]])).to.deep.equal([false])
    })

    it('7: of an unknown semantic, no list, or more than 100 are a 400', async () => {
      for (const body of [
        { ...READ, evaluations: TWO, options: { evaluations_semantic: 'best' } },
        { ...READ, evaluations: {} },
        { ...READ, evaluations: Array.from({ length: 101 }, () => ({})) },
      ]) {
        expect((await askAll(body)).status).to.equal(400)
      }
    })
  })

  it('section 9: says where its decisions are to be had', async () => {
    const { status, body } = await gate.call('GET', '/.well-known/authzen-configuration')
    expect(status).to.equal(200)
    expect(body).to.include({
      policy_decision_point: URL,
      access_evaluation_endpoint: `${URL}/access/v1/evaluation`,
      access_evaluations_endpoint: `${URL}/access/v1/evaluations`,
    })
  })
})
