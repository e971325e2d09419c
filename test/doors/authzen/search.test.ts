import { expect } from 'chai'
import { ADMIN, MAKER, TestGate } from '../../support/gate.ts'
import { GATE, type PolicyFiles, writePolicies } from '../../support/policies.ts'

const PEP = 'key-of-an-enforcement-point'

const POLICY = `package agent

role := object.get(input.subject, ["properties", "role"], "")

status := object.get(input.resource, ["properties", "status"], "")

allow if input.action.name == "read"

allow if {
	input.action.name == "write"
	input.subject.id == "alice"
	status != "archived"
}

allow if {
	input.action.name == "write"
	role == "admin"
	status == "archived"
}

allow if input.action.name == "publish"

require_approval contains "a person looks at it" if input.action.name == "publish"

allow if {
	input.action.name == "delegate"
	"worker" in input.subject.properties.roles
}

allow if input.action.name == "notify"

obligations contains {"id": "o1", "type": "step-up", "properties": {"acr_value": "mfa"}} if {
	input.action.name == "notify"
}

obligations contains {"id": "o2", "type": "tell-legal", "properties": {}} if input.action.name == "notify"
`
const GATE_YAML = `${GATE}
decision_api:
  actions:
    read: { resource_types: [record] }
    write: { resource_types: [record] }
    publish: { resource_types: [record] }
    delegate: {}
    notify: { resource_types: [note] }
  subjects: { user: data.people }
  resources: { record: data.records, page: data.pages }
`
const FILES = {
  'agent.rego': POLICY,
  'gate.yaml': GATE_YAML,
  'data/people.json': '[{"id":"alice"},{"id":"bob","properties":{"role":"admin"}},{"id":"carol"}]',
  'data/records.csv': 'id,status\nrecord-1,active\nrecord-2,archived\n',
  'data/pages.json': JSON.stringify(Array.from({ length: 120 }, (_, n) => ({ id: `p${n}` }))),
}
const user = (id: string, properties?: object) => ({
  type: 'user',
  id,
  ...(properties && { properties }),
})
const record = (id: string, properties?: object) => ({
  type: 'record',
  id,
  ...(properties && { properties }),
})

describe('AuthZEN 1.0, section 8, search', function () {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({
      policies: FILES,
      env: {
        API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`,
        PUBLIC_SERVER_URL: 'https://gate.example',
      },
    })
  })
  after(() => gate.stop())

  const search = (kind: string, body: unknown, key: string = PEP) =>
    gate.call('POST', `/access/v1/search/${kind}`, { key, body })
  const reload = async (files: PolicyFiles) => {
    writePolicies(gate.policyDir, files)
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
  }
  const ids = async (kind: string, body: unknown): Promise<string[]> => {
    const { status, body: answer } = await search(kind, body)
    expect(status).to.equal(200)
    return answer.results.map(({ id, name }: { id?: string; name?: string }) => id ?? name)
  }

  it('8.4: finds the subjects that may, with what the catalogue says of them, whatever id is asked for', async () => {
    const archived = record('record-2', { status: 'archived' })
    const write = { action: { name: 'write' }, resource: archived }
    expect(await ids('subject', { subject: { type: 'user' }, ...write })).to.deep.equal(['bob'])
    const asked = { subject: { type: 'user', id: 'zoe' }, ...write }
    expect(await ids('subject', asked)).to.deep.equal(['bob'])
    const active = { action: { name: 'write' }, resource: record('record-1') }
    expect(await ids('subject', { subject: { type: 'user' }, ...active })).to.deep.equal(['alice'])
  })

  it('8.4: puts properties of the request over those of the catalogue', async () => {
    const asked = {
      subject: { type: 'user', properties: { role: 'admin' } },
      action: { name: 'write' },
      resource: record('record-2', { status: 'archived' }),
    }
    expect(await ids('subject', asked)).to.deep.equal(['alice', 'bob', 'carol'])
  })

  it('8.5: finds the resources of a table', async () => {
    const asked = {
      subject: user('alice'),
      action: { name: 'write' },
      resource: { type: 'record' },
    }
    expect(await ids('resource', asked)).to.deep.equal(['record-1'])
  })

  it('8.6: finds the actions that may be done to a resource of the type', async () => {
    const asked = { subject: user('alice'), resource: record('record-1') }
    expect(await ids('action', asked)).to.deep.equal(['read', 'write'])
    expect(await ids('action', { ...asked, subject: user('carol') })).to.deep.equal(['read'])
  })

  it('counts what a person would have to approve as not permitted', async () => {
    const asked = {
      subject: { type: 'user' },
      action: { name: 'publish' },
      resource: record('record-1'),
    }
    expect(await ids('subject', asked)).to.deep.equal([])
  })

  it('answers nothing for a type or an id that is unknown', async () => {
    const rest = { action: { name: 'read' }, resource: record('record-1') }
    expect(await ids('subject', { subject: { type: 'robot' }, ...rest })).to.deep.equal([])
    const asked = { subject: user('alice'), action: { name: 'read' }, resource: { type: 'cloud' } }
    expect(await ids('resource', asked)).to.deep.equal([])
    expect(
      await ids('action', { subject: user('alice'), resource: { type: 'cloud', id: 'c' } }),
    ).to.deep.equal([])
  })

  it('finds agents in the registry, but none that is paused', async () => {
    await gate.agent('searched-one')
    await gate.agent('searched-two', ['nobody'])
    await gate.agent('searched-three')
    const asked = {
      subject: { type: 'agent' },
      action: { name: 'delegate' },
      resource: { type: 'x', id: 'y' },
    }
    const before = await ids('subject', asked)
    expect(before).to.have.length(2)
    await gate.call('PATCH', '/api/v1/agents/searched-three', { body: { status: 'paused' } })
    expect(await ids('subject', asked)).to.deep.equal(before.slice(0, 1))
  })

  describe('8.3, pages', () => {
    const PAGES = {
      subject: user('alice'),
      action: { name: 'delegate' },
      resource: { type: 'page' },
    }
    const ALL = { ...PAGES, action: { name: 'read' } }
    const OPEN = GATE_YAML.replace('read: { resource_types: [record] }', 'read: {}')
    before(() => reload({ 'gate.yaml': OPEN }))

    it('go on where the one before ended, until a token is empty', async () => {
      const found: string[] = []
      let token = ''
      let pages = 0
      do {
        const page = { limit: 50, ...(token === '' ? {} : { token }) }
        const { body } = await search('resource', { ...ALL, page })
        expect(body.page.count).to.equal(body.results.length)
        found.push(...body.results.map(({ id }: { id: string }) => id))
        token = body.page.next_token
        pages++
      } while (token !== '')
      expect(pages).to.equal(3)
      expect(found).to.deep.equal(Array.from({ length: 120 }, (_, n) => `p${n}`))
    })

    it('say how many there are when all are there', async () => {
      const { body } = await search('resource', ALL)
      expect(body.page).to.deep.equal({ next_token: '', count: 120, total: 120 })
    })

    it('refuse a token of another question, of another caller, or of nobody', async () => {
      const { body } = await search('resource', { ...ALL, page: { limit: 50 } })
      const page = { token: body.page.next_token }
      const others: [unknown, string][] = [
        [{ ...ALL, subject: user('bob'), page }, PEP],
        [{ ...ALL, page }, ADMIN],
        [{ ...ALL, page: { token: `51.${page.token.split('.')[1]}` } }, PEP],
        [{ ...ALL, page: { token: 'x' } }, PEP],
        [{ ...ALL, page: { limit: 0 } }, PEP],
        [{ ...ALL, page: { limit: 1.5 } }, PEP],
      ]
      for (const [asked, key] of others) {
        const answer = await search('resource', asked, key)
        expect(answer.status, JSON.stringify(asked)).to.equal(400)
      }
      expect((await search('resource', { ...ALL, page })).status).to.equal(200)
    })

    it('refuse a token of a policy that is no more', async () => {
      const { body } = await search('resource', { ...ALL, page: { limit: 50 } })
      await reload({ 'gate.yaml': `${OPEN}\n# another revision\n` })
      const answer = await search('resource', { ...ALL, page: { token: body.page.next_token } })
      expect(answer.status).to.equal(400)
    })
  })

  for (const [says, kind, body] of [
    ['no subject', 'subject', { action: { name: 'read' }, resource: record('r') }],
    [
      'a subject without a type',
      'subject',
      { subject: {}, action: { name: 'read' }, resource: record('r') },
    ],
    ['no action', 'resource', { subject: user('a'), resource: { type: 'record' } }],
    ['a resource without an id', 'action', { subject: user('a'), resource: { type: 'record' } }],
    ['a page that is text', 'action', { subject: user('a'), resource: record('r'), page: 'x' }],
  ] as const) {
    it(`10.1: refuses a search with ${says}`, async () => {
      expect((await search(kind, body)).status).to.equal(400)
    })
  }

  it('keeps the search on record as one entry', async () => {
    const count = async () => (await gate.call('GET', '/state')).body.audit.size
    const before = await count()
    const { body } = await search('subject', {
      subject: { type: 'user' },
      action: { name: 'read' },
      resource: record('record-1'),
    })
    expect(await count()).to.equal(before + 1)
    const route = '/audit/timeline?kind=decision.search&limit=1'
    const [entry] = (await gate.call('GET', route)).body.entries
    expect(entry).to.include({ searched: 'subject', found: 3, more: false, surface: 'authzen' })
    expect(entry.decision_id).to.equal(body.context.evaluation_id)
  })

  it('lets an agent search for nobody but itself', async () => {
    const key = await gate.agent('searching')
    const asked = { subject: { type: 'user' }, action: { name: 'read' }, resource: record('r') }
    expect((await search('subject', asked, key)).status).to.equal(403)
    const own = { subject: { type: 'agent', id: 'searching' }, resource: { type: 'x', id: 'y' } }
    const { body } = await search('action', own, key)
    expect(body.results).to.deep.equal([{ name: 'delegate' }])
  })

  it('9: says where, and which obligations it gives', async () => {
    const { body } = await gate.call('GET', '/.well-known/authzen-configuration', { key: null })
    expect(body).to.include({
      search_subject_endpoint: 'https://gate.example/access/v1/search/subject',
      search_resource_endpoint: 'https://gate.example/access/v1/search/resource',
      search_action_endpoint: 'https://gate.example/access/v1/search/action',
    })
    expect(body.supported_obligations).to.include('step-up')
  })

  describe('obligations profile', () => {
    const NOTIFY = {
      subject: user('alice'),
      action: { name: 'notify' },
      resource: { type: 'note', id: 'n' },
    }
    const evaluate = async (context: object) =>
      (await gate.call('POST', '/access/v1/evaluation', { key: PEP, body: { ...NOTIFY, context } }))
        .body

    it('gives those of the policy, and as `custom` what the profile does not name', async () => {
      const { decision, context } = await evaluate({})
      expect(decision).to.equal(true)
      expect(context.obligations).to.have.deep.members([
        { id: 'o1', type: 'step-up', properties: { acr_value: 'mfa' } },
        { id: 'o2', type: 'custom', properties: { type: 'tell-legal' } },
      ])
    })

    it('denies what comes with one that who enforces does not support', async () => {
      const denied = await evaluate({ supported_obligations: ['step-up'] })
      expect([denied.decision, denied.context.reason]).to.deep.equal([
        false,
        'obligation_unsupported',
      ])
      const met = await evaluate({ supported_obligations: ['step-up', 'custom'] })
      expect(met.decision).to.equal(true)
    })
  })

  it('does not load a catalogue that is none', async () => {
    for (const [yaml, code] of [
      [GATE_YAML.replace('data.people', 'data.peeple'), 'no_such_data'],
      [GATE_YAML.replace('data.people', 'data.twice'), 'bad_catalogue'],
      [GATE_YAML.replace('data.people', 'data.nameless'), 'bad_catalogue'],
      [GATE_YAML.replace('data.people', 'data.object'), 'bad_catalogue'],
      [GATE_YAML.replace('user: data.people', 'agent: data.people'), 'invalid'],
    ] as const) {
      const files = {
        ...FILES,
        'gate.yaml': yaml,
        'data/twice.json': '[{"id":"a"},{"id":"a"}]',
        'data/nameless.json': '[{"name":"a"}]',
        'data/object.json': '{"a":1}',
      }
      const { body } = await gate.call('POST', '/policy/check', { body: { files } })
      expect(JSON.stringify(body), code).to.contain(code)
    }
  })
})
