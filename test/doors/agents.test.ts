import { expect } from 'chai'
import { TestGate, until, type Answer } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const HELD = { tool: 'items.delete', args: { id: 'i-1' } }

describe('the registry of agents', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]
  const agents = (method: string, path: string, body?: unknown, key?: string) =>
    gate.call(method, `/api/v1/agents${path}`, { body, ...(key === undefined ? {} : { key }) })
  const create = async (body: object) => {
    const answer = await agents('POST', '', body)
    expect(answer.status, answer.text).to.equal(201)
    return answer.body
  }
  const namesOf = ({ body }: Answer): string[] =>
    body.agents.map(({ name }: { name: string }) => name)

  describe('what is known of an agent', () => {
    it('comes back as it was given, money as text', async () => {
      const { agent } = await create({
        name: 'full',
        roles: ['worker'],
        owner: 'team-a',
        description: 'does things',
        category: 'ops',
        specialist: true,
        version: '2.1',
        tags: ['x', 'y'],
        monthly_budget: 100.5,
        per_action_limit: '5',
        thresholds: [90, 10],
      })
      expect(agent).to.deep.include({ category: 'ops', specialist: true, tags: ['x', 'y'] })
      expect(agent).to.deep.include({ monthly_budget: '100.50', per_action_limit: '5.00' })
      expect(agent.thresholds).to.deep.equal([10, 90])
      const read = await agents('GET', '/name/full')
      expect(read.body.agent).to.deep.equal(agent)
      expect((await agents('GET', `/${agent.id}`)).body.agent).to.deep.equal(agent)
    })

    it('is found by role, category, specialist, status, tag, owner and text, alone and together', async () => {
      await create({ name: 'find-1', role: 'finder', category: 'c1', tags: ['t1'], owner: 'o1' })
      await create({ name: 'find-2', role: 'finder', category: 'c2', tags: ['t1'], owner: 'o2' })
      await create({
        name: 'find-3',
        roles: ['finder', 'b'],
        specialist: 'law',
        description: '50%_',
      })
      const found = async (query: string) => namesOf(await agents('GET', `?${query}`))
      expect(await found('role=finder')).to.deep.equal(['find-1', 'find-2', 'find-3'])
      expect(await found('role=finder&category=c2')).to.deep.equal(['find-2'])
      expect(await found('tag=t1&owner=o1')).to.deep.equal(['find-1'])
      expect(await found('specialist=law')).to.deep.equal(['find-3'])
      expect(await found('q=FIND-2')).to.deep.equal(['find-2'])
      expect(await found('q=50%25_')).to.deep.equal(['find-3'])
      expect(await found('role=finder&status=paused')).to.deep.equal([])
      expect(codeOf(await agents('GET', '?colour=red'))).to.deep.equal([400, 'invalid_request'])
      expect(codeOf(await agents('GET', '?status=asleep'))).to.deep.equal([400, 'invalid_request'])
    })

    it('pages on from an agent that is gone', async () => {
      const made = []
      for (const n of [1, 2, 3, 4]) made.push(await create({ name: `gone-${n}`, role: 'pager' }))
      const first = await agents('GET', '?role=pager&limit=2')
      await agents('DELETE', `/${made[1].agent.id}`)
      const next = await agents('GET', `?role=pager&limit=2&cursor=${first.body.next_cursor}`)
      expect([...namesOf(first), ...namesOf(next)]).to.deep.equal(
        [1, 2, 3, 4].map((n) => `gone-${n}`),
      )
    })

    it('is counted by status, role, category and owner', async () => {
      await create({ name: 'count-1', role: 'counted', category: 'cc', owner: 'co' })
      await create({ name: 'count-2', role: 'counted', category: 'cc', monthly_budget: 1 })
      const { body } = await agents('GET', '/stats/summary')
      expect(body.by_role.counted).to.equal(2)
      expect(body.by_category.cc).to.equal(2)
      expect(body.by_owner.co).to.equal(1)
      expect(body.total).to.equal(Object.values<number>(body.by_status).reduce((a, b) => a + b, 0))
    })

    it('changes member by member with PUT and PATCH; what is not given stays', async () => {
      const { agent } = await create({
        name: 'change',
        roles: ['a'],
        owner: 'o',
        monthly_budget: 5,
      })
      const put = await agents('PUT', `/${agent.id}`, { roles: ['b', 'c'], monthly_budget: null })
      expect(put.body.agent).to.deep.include({
        roles: ['b', 'c'],
        owner: 'o',
        monthly_budget: null,
      })
      const patch = await agents('PATCH', '/change', { name: 'changed', status: 'paused' })
      expect(patch.body.agent).to.deep.include({ name: 'changed', status: 'paused', owner: 'o' })
      const taken = await agents('PATCH', `/${agent.id}`, { name: 'full' })
      expect(codeOf(taken)).to.deep.equal([409, 'conflict'])
      expect(codeOf(await agents('PATCH', '/nobody', { owner: 'x' }))).to.deep.equal([
        404,
        'not_found',
      ])
      const { body } = await gate.call(
        'GET',
        `/audit/timeline?agent=${agent.id}&kind=agent.updated`,
      )
      expect(body.entries[1].changed).to.deep.equal(['roles', 'monthly_budget'])
    })

    it('lets an operator change the status, and nothing else', async () => {
      const operator = await gate.key('operator', 'op-1')
      const { agent } = await create({ name: 'operated' })
      const status = await agents('PATCH', `/${agent.id}`, { status: 'stopped' }, operator)
      expect(status.body.agent.status).to.equal('stopped')
      const roles = await agents('PATCH', `/${agent.id}`, { roles: ['admin'] }, operator)
      expect(codeOf(roles)).to.deep.equal([403, 'forbidden'])
    })

    it('400 for money that is none, unknown members and wrong types', async () => {
      for (const body of [
        { name: 'bad', monthly_budget: -1 },
        { name: 'bad', monthly_budget: '1.0000001' },
        { name: 'bad', monthly_budget: 1e30 },
        { name: 'bad', per_action_limit: 'NaN' },
        { name: 'bad', thresholds: [0] },
        { name: 'bad', instances: -1 },
        { name: 'bad', colour: 'red' },
        { name: 'bad', specialist: 'a\nb' },
      ]) {
        const answer = await agents('POST', '', body)
        expect(codeOf(answer), JSON.stringify(body)).to.deep.equal([400, 'invalid_request'])
      }
    })
  })

  describe('unregistering', () => {
    it('stops the keys, cancels what waits, and leaves the record', async () => {
      const { agent, api_key: key } = await create({ name: 'leaver', roles: ['worker'] })
      const held = await gate.act(key, HELD)
      expect(held.status).to.equal(202)
      expect((await agents('DELETE', `/${agent.id}`)).status).to.equal(204)
      expect(codeOf(await gate.act(key, UPDATE))).to.deep.equal([401, 'unauthenticated'])
      const action = await gate.call('GET', `/actions/${held.body.action_id}`)
      expect(action.body.state).to.equal('cancelled')
      const approve = await gate.call('POST', `/approvals/${held.body.approval.id}/approve`)
      expect(codeOf(approve)).to.deep.equal([409, 'conflict'])
      expect(codeOf(await agents('DELETE', `/${agent.id}`))).to.deep.equal([404, 'not_found'])
      const { body } = await gate.call('GET', `/audit/timeline?agent=${agent.id}`)
      const kinds = body.entries.map(({ kind }: { kind: string }) => kind)
      expect(kinds).to.include.members(['agent.created', 'approval.cancelled', 'agent.deleted'])
    })
  })

  describe('the life of an agent', () => {
    const live = (name: string, body: object, key?: string) =>
      agents('POST', `/${name}/action`, body, key)

    it('starts, pauses, resumes, stops, restarts and retires; each counts for the next action', async () => {
      const { api_key: key } = await create({ name: 'lively', roles: ['worker'] })
      const mayAct = async () => (await gate.act(key, UPDATE)).status
      for (const [action, status, code] of [
        ['pause', 'paused', 403],
        ['resume', 'active', 200],
        ['stop', 'stopped', 403],
        ['start', 'active', 200],
        ['restart', 'active', 200],
        ['retire', 'retired', 403],
      ] as const) {
        const { body } = await live('lively', { action, reason: 'test' })
        expect(body.agent.status, action).to.equal(status)
        expect(await mayAct(), action).to.equal(code)
      }
      expect(codeOf(await live('lively', { action: 'start' }))).to.deep.equal([409, 'conflict'])
      expect(codeOf(await live('lively', { action: 'dance' }))).to.deep.equal([
        400,
        'invalid_request',
      ])
      expect(codeOf(await live('lively', { action: 'scale' }))).to.deep.equal([409, 'conflict'])
    })

    it('409 conflict for what its status does not allow', async () => {
      await create({ name: 'strict' })
      await live('strict', { action: 'stop' })
      for (const action of ['pause', 'resume']) {
        expect(codeOf(await live('strict', { action }))).to.deep.equal([409, 'conflict'])
      }
      expect(codeOf(await live('strict', { action: 'scale' }))).to.deep.equal([
        400,
        'invalid_request',
      ])
    })

    it('is activated by itself when it starts a task, which never lifts a pause', async () => {
      const { agent, api_key: key } = await create({ name: 'self', roles: ['worker'] })
      const activate = (by: string) => agents('POST', '/self/activate', undefined, by)
      expect((await activate(key)).body.agent.status).to.equal('active')
      for (const action of ['pause', 'stop']) {
        await live('self', { action })
        expect(codeOf(await activate(key))).to.deep.equal([409, 'conflict'])
        await live('self', { action: 'restart' })
      }
      const other = await gate.agent('nosy')
      expect(codeOf(await activate(other))).to.deep.equal([404, 'not_found'])
      const status = await agents('GET', '/self/status')
      expect(status.body).to.include({ agent_id: agent.id, status: 'active' })
      expect(status.body.uptime_s).to.be.a('number')
    })

    it('runs as many actions at once as it is scaled to; more are told to wait', async () => {
      const { api_key: key } = await create({ name: 'scaled', roles: ['worker'] })
      await live('scaled', { action: 'scale', instances: 2 })
      const waiting: (() => void)[] = []
      gate.upstream.behave = (_effect, res) => {
        waiting.push(() => reply(res, 200, {}))
      }
      const [one, two] = [gate.act(key, UPDATE), gate.act(key, UPDATE)]
      await until('two run', () => waiting.length === 2)
      const third = await gate.act(key, UPDATE)
      expect(codeOf(third)).to.deep.equal([429, 'rate_limited'])
      expect(third.body.error.reasons[0].code).to.equal('instances_busy')
      expect(third.headers.get('retry-after')).to.equal('1')
      for (const answer of waiting) answer()
      expect([(await one).status, (await two).status]).to.deep.equal([200, 200])
      gate.upstream.behave = (_effect, res) => reply(res, 200, {})
      expect((await gate.act(key, UPDATE)).status).to.equal(200)
      await live('scaled', { action: 'scale', instances: 0 })
      expect((await gate.act(key, UPDATE)).status).to.equal(429)
    })
  })

  describe('keys', () => {
    it('rotate with an overlap, and without one', async () => {
      const { api_key: old } = await create({ name: 'rotating', roles: ['worker'] })
      const rotate = (body: object, key?: string) =>
        agents('POST', '/rotating/keys/rotate', body, key)
      const first = await rotate({ overlap_s: 60 }, old)
      expect(first.status, first.text).to.equal(201)
      expect((await gate.act(old, UPDATE)).status).to.equal(200)
      expect((await gate.act(first.body.key, UPDATE)).status).to.equal(200)
      const second = await rotate({ overlap_s: 0 })
      expect(codeOf(await gate.act(old, UPDATE))).to.deep.equal([401, 'unauthenticated'])
      expect(codeOf(await gate.act(first.body.key, UPDATE))).to.deep.equal([401, 'unauthenticated'])
      expect((await gate.act(second.body.key, UPDATE)).status).to.equal(200)
      const byId = await gate.call('POST', `/api/v1/keys/${second.body.id}/rotate`, { body: {} })
      expect([byId.status, byId.body.role]).to.deep.equal([201, 'agent'])
      const none = await gate.call('POST', '/api/v1/keys/key_none/rotate', { body: {} })
      expect(codeOf(none)).to.deep.equal([404, 'not_found'])
    })
  })

  describe('writes with an Idempotency-Key', () => {
    const post = (key: string, body: object) =>
      gate.call('POST', '/api/v1/agents', { body, headers: { 'idempotency-key': key } })

    it('happen once and answer the same again, the new key included', async () => {
      const [first, again] = await Promise.all([
        post('k-1', { name: 'once' }),
        post('k-1', { name: 'once' }),
      ])
      expect([first?.status, again?.status]).to.deep.equal([201, 201])
      expect(again?.body).to.deep.equal(first?.body)
      const marks = [first, again].map((one) => one?.headers.get('idempotent-replayed') ?? null)
      expect(marks.filter((one) => one === 'true')).to.have.length(1)
      expect(codeOf(await post('k-1', { name: 'other' }))).to.deep.equal([
        422,
        'idempotency_mismatch',
      ])
      expect(codeOf(await post('k-2', { name: 'once' }))).to.deep.equal([409, 'conflict'])
      // A refusal that changed nothing is not kept: the same key may succeed later.
      await agents('DELETE', '/once')
      expect((await post('k-2', { name: 'once' })).status).to.equal(201)
    })

    it('are kept sealed: the database does not hold the key that was answered', async () => {
      const { body } = await post('k-3', { name: 'sealed' })
      const rows = await gate.gate.operations.write((tx) =>
        tx.query<{ sealed: string }>('select sealed from idempotent_answers'),
      )
      expect(rows.length).to.be.greaterThan(0)
      for (const { sealed } of rows) {
        const { secrets = '' } = JSON.parse(sealed)
        for (const text of [sealed, Buffer.from(secrets, 'base64').toString('latin1')]) {
          expect(text).to.not.include(body.api_key.slice(3, 30))
          expect(text).to.not.include(body.api_key.slice(-30))
        }
      }
    })

    it('belong to the agent, not to the secret: with its new key a report is still the same one', async () => {
      const { api_key: old } = await create({ name: 'reporter', monthly_budget: '10' })
      const report = (key: string) =>
        gate.call('POST', '/api/v1/actions', {
          key,
          body: { action_type: 'call', cost: '1.00' },
          headers: { 'idempotency-key': 'report-1' },
        })
      const first = await report(old)
      const rotate = (key: string) =>
        gate.call('POST', '/api/v1/agents/reporter/keys/rotate', {
          key,
          body: { overlap_s: 60 },
          headers: { 'idempotency-key': 'rotate-1' },
        })
      const rotated = await rotate(old)
      expect((await rotate(old)).body).to.deep.equal(rotated.body)
      const again = await report(rotated.body.key)
      expect([again.status, again.body]).to.deep.equal([first.status, first.body])
      const marks = [first, again].map(({ headers }) => headers.get('idempotent-replayed'))
      expect(marks).to.deep.equal([null, 'true'])
      const { body } = await gate.call('GET', '/api/v1/agents/reporter/spend')
      expect(body.spent).to.equal('1.00')
      const withNew = await rotate(rotated.body.key)
      expect(withNew.body).to.deep.equal({ ...rotated.body, key: null })
      const keys = (await gate.call('GET', '/api/v1/keys')).body.keys
      const own = keys.filter(({ name }: { name: string }) => name === 'reporter')
      expect(own).to.have.length(2)
    })

    it('are refused with a blank key, rather than taken for none', async () => {
      for (const blank of ['', ' ', '  ', '""']) {
        const answer = await gate.call('POST', '/api/v1/agents', {
          body: { name: 'blank' },
          headers: { 'idempotency-key': blank },
        })
        expect(codeOf(answer), JSON.stringify(blank)).to.deep.equal([400, 'invalid_request'])
      }
    })

    it('belong to the person that sent them', async () => {
      const other = await gate.key('admin', 'second-admin')
      await post('k-4', { name: 'mine' })
      const answer = await gate.call('POST', '/api/v1/agents', {
        key: other,
        body: { name: 'theirs' },
        headers: { 'idempotency-key': 'k-4' },
      })
      expect([answer.status, answer.body.agent.name]).to.deep.equal([201, 'theirs'])
    })

    it('cover every kind of write: approvals, keys, lifecycle, deletes', async () => {
      const { api_key: key } = await create({ name: 'covered', roles: ['worker'] })
      const held = await gate.act(key, HELD)
      const twice = async (method: string, path: string, body?: unknown) => {
        const headers = { 'idempotency-key': `w-${path}` }
        const first = await gate.call(method, path, { body, headers })
        const again = await gate.call(method, path, { body, headers })
        expect([again.status, again.text], path).to.deep.equal([first.status, first.text])
        expect(first.status, path).to.be.lessThan(300)
      }
      await twice('POST', `/approvals/${held.body.approval.id}/deny`, { comment: 'no' })
      await twice('POST', '/api/v1/keys', { role: 'observer', name: 'twice' })
      await twice('POST', '/api/v1/agents/covered/action', { action: 'pause' })
      await twice('DELETE', '/api/v1/agents/covered')
    })
  })

  describe('bulk import', () => {
    const send = (type: string, raw: string, query = '') =>
      gate.call('POST', `/api/v1/agents/import${query}`, { raw, headers: { 'content-type': type } })
    const total = async () => (await agents('GET', '/stats/summary')).body.total

    it('takes the 207 agents of one file in one call, with keys where asked for', async () => {
      const rows = Array.from({ length: 207 }, (_, n) => ({
        name: `bulk-${n}`,
        role: n % 2 ? 'worker' : 'reviewer',
        category: `cat-${n % 7}`,
        metadata: { owner: 'phase-1' },
      }))
      const answer = await send('application/json', JSON.stringify({ agents: rows }), '?keys=true')
      expect([answer.status, answer.body.imported]).to.deep.equal([201, 207])
      expect(answer.body.agents[1].name).to.equal('bulk-1')
      expect((await gate.act(answer.body.agents[1].api_key, UPDATE)).status).to.equal(200)
      const { body } = await agents('GET', '/bulk-206')
      expect(body.agent).to.deep.include({
        roles: ['reviewer'],
        owner: 'phase-1',
        category: 'cat-3',
      })
    })

    it('reads YAML and CSV', async () => {
      const yaml = await send(
        'application/yaml',
        '- name: y-1\n  roles: [a]\n- { name: y-2, instances: 3 }\n',
      )
      expect([yaml.status, yaml.body.imported]).to.deep.equal([201, 2])
      const csv =
        'name,roles,tags,monthly_budget,properties\n"c, 1",a;b,,12.50,"{""k"":1}"\nc-2,,t,,\n'
      const answer = await send('text/csv; charset=utf-8', csv)
      expect([answer.status, answer.text]).to.deep.equal([201, answer.text])
      const { body } = await agents('GET', `/name/${encodeURIComponent('c, 1')}`)
      expect(body.agent).to.deep.include({ roles: ['a', 'b'], monthly_budget: '12.50' })
      expect(body.agent.properties).to.deep.equal({ k: 1 })
    })

    it('takes all or none, and names the rows that are wrong', async () => {
      const before = await total()
      const rowsOf = ({ body }: Answer) => body.error.rows.map(({ row }: { row: number }) => row)
      const bad = [
        { name: 'ok-1' },
        { nome: 'x' },
        { name: 'ok-1' },
        7,
        { name: 'b', monthly_budget: -1 },
      ]
      const answer = await send('application/json', JSON.stringify(bad))
      expect(codeOf(answer)).to.deep.equal([400, 'invalid_request'])
      expect(rowsOf(answer)).to.deep.equal([2, 3, 4, 5])
      const taken = await send('application/json', '[{"name":"ok-2"},{"name":"full"}]')
      expect([...codeOf(taken), rowsOf(taken)]).to.deep.equal([409, 'conflict', [2]])
      expect(await total()).to.equal(before)
    })

    it('refuses files it cannot read, with the place', async () => {
      const before = await total()
      for (const [type, text, code] of [
        ['application/json', '[{"name":"a","name":"b"}]', 'invalid_request'],
        ['application/json', '{"name":"a"}', 'invalid_request'],
        ['application/yaml', '- &a {name: x}\n- *a\n', 'invalid_request'],
        ['text/csv', 'name,roles\n"open', 'invalid_request'],
        ['text/csv', 'name,name\na,b\n', 'invalid_request'],
        ['text/csv', 'name,properties\na,{bad\n', 'invalid_request'],
        ['text/html', 'x', 'unsupported_media_type'],
        ['application/yaml', `- name: "${'x'.repeat(600_000)}"`, 'payload_too_large'],
        ['text/csv', `name\n${'x\n'.repeat(21_000)}`, 'payload_too_large'],
      ] as const) {
        expect((await send(type, text)).body.error.code, text.slice(0, 40)).to.equal(code)
      }
      expect(await total()).to.equal(before)
    })
  })
})
