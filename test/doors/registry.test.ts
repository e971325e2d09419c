import { expect } from 'chai'
import { KEY_ROLES } from '../../src/config.ts'
import { ADMIN, MAKER, TestGate, until, type Answer } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const ENV_OBSERVER = 'observer-token-of-tests'
const ENV_AGENT = 'agent-token-of-tests'

type Role = (typeof KEY_ROLES)[number]

const READERS: readonly Role[] = ['observer', 'approver', 'operator', 'admin']
const ALL: readonly Role[] = ['agent', ...READERS]
const OPERATORS: readonly Role[] = ['operator', 'admin']
const ACTORS: readonly Role[] = ['agent', 'operator', 'admin']
const ADMINS: readonly Role[] = ['admin']

/** Who may make which call. Bodies are empty and ids unknown, so that nothing happens. */
const ROUTES: readonly (readonly [string, string, readonly Role[]])[] = [
  ['POST', '/act', ['agent']],
  ['POST', '/action', ['agent']],
  ['GET', '/proxy/test/nothing', ['agent']],
  ['GET', '/meta', ALL],
  ['GET', '/whoami', [...ALL, 'pep']],
  ['GET', '/state', READERS],
  ['GET', '/stats/series', READERS],
  ['GET', '/budgets', READERS],
  ['GET', '/api/v1/spend/series', READERS],
  ['GET', '/llm/models', READERS],
  ['GET', '/llm/usage', READERS],
  ['GET', '/webhooks/deliveries', OPERATORS],
  ['POST', '/webhooks/test', OPERATORS],
  ['GET', '/search?q=none', READERS],
  ['GET', '/api/v1/alerts', READERS],
  ['POST', '/api/v1/alerts/alr_none/acknowledge', OPERATORS],
  ['GET', '/actions', ALL],
  ['GET', '/actions/act_none', ALL],
  ['GET', '/actions/act_none/explain', ALL],
  ['POST', '/actions/act_none/settle', OPERATORS],
  ['GET', '/approvals', ALL],
  ['GET', '/approvals/apr_none', ALL],
  ['POST', '/approvals/votes', READERS],
  ['POST', '/approvals/apr_none/approve', READERS],
  ['POST', '/approvals/apr_none/deny', READERS],
  ['POST', '/approvals/apr_none/cancel', ALL],
  ['GET', '/policy', READERS],
  ['POST', '/policy/reload', OPERATORS],
  ['POST', '/policy/check', OPERATORS],
  ['GET', '/policy/files', READERS],
  ['PUT', '/policy/files', ADMINS],
  ['GET', '/policy/revisions', READERS],
  ['GET', '/policy/revisions/00000000', READERS],
  ['GET', '/policy/diff?from=00000000', READERS],
  ['POST', '/policy/rollback', OPERATORS],
  ['POST', '/policy/try', OPERATORS],
  ['POST', '/policy/test', OPERATORS],
  ['POST', '/policy/matrix', OPERATORS],
  ['POST', '/policy/format', OPERATORS],
  ['POST', '/policy/replays', OPERATORS],
  ['GET', '/policy/replays', READERS],
  ['GET', '/policy/replays/rpl_none', READERS],
  ['POST', '/policy/canary', ADMINS],
  ['GET', '/policy/canary', READERS],
  ['POST', '/policy/canary/promote', ADMINS],
  ['POST', '/policy/canary/abort', OPERATORS],
  ['GET', '/policy/publishes', READERS],
  ['GET', '/policy/publishes/pub_none', READERS],
  ['POST', '/policy/publishes/pub_none/approve', READERS],
  ['POST', '/policy/publishes/pub_none/deny', READERS],
  ['POST', '/policy/publishes/pub_none/cancel', READERS],
  ['GET', '/kill-switch', ALL],
  ['PUT', '/kill-switch', OPERATORS],
  ['GET', '/audit/timeline', READERS],
  ['GET', '/audit/verify', READERS],
  ['GET', '/audit/entries/1', READERS],
  ['GET', '/audit/checkpoints', READERS],
  ['GET', '/audit/checkpoint', READERS],
  ['GET', '/audit/timeline.csv', READERS],
  ['GET', '/audit/export', READERS],
  ['GET', '/events?last_event_id=none', ALL],
  ['POST', '/api/v1/agents', ADMINS],
  ['GET', '/api/v1/agents', READERS],
  ['GET', '/api/v1/agents/none', READERS],
  ['GET', '/api/v1/agents/stats/summary', READERS],
  ['GET', '/api/v1/agents/name/none', READERS],
  ['PUT', '/api/v1/agents/none', OPERATORS],
  ['PATCH', '/api/v1/agents/none', OPERATORS],
  ['DELETE', '/api/v1/agents/none', ADMINS],
  ['POST', '/api/v1/agents/none/activate', ACTORS],
  ['POST', '/api/v1/agents/none/action', OPERATORS],
  ['GET', '/api/v1/agents/none/status', READERS],
  ['POST', '/api/v1/agents/none/keys/rotate', ACTORS],
  ['POST', '/api/v1/keys/key_none/rotate', ADMINS],
  ['POST', '/api/v1/keys', ADMINS],
  ['GET', '/api/v1/keys', ADMINS],
  ['GET', '/ui/session', READERS],
  ['DELETE', '/ui/session', READERS],
  ['DELETE', '/api/v1/keys/key_none', ADMINS],
  ['GET', '/tools', ['agent', ...OPERATORS]],
  ['GET', '/upstreams', OPERATORS],
  ['POST', '/access/v1/evaluation', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/evaluations', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/search/subject', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/search/resource', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/search/action', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/requests', ['agent', 'admin', 'pep']],
  ['GET', '/access/v1/requests/arq_none', ['agent', 'admin', 'pep']],
  ['POST', '/access/v1/requests/arq_none/cancel', ['agent', 'admin', 'pep']],
  ['POST', '/logs', ['admin', 'pep']],
  ['GET', '/bundles/portcullis.tar.gz', ['admin', 'pep']],
  ['GET', '/ext-authz/test/nothing', ['agent']],
  ['POST', '/v1/data/agent/allow', ['admin', 'pep']],
  ['GET', '/v1/data/agent/allow', ['admin', 'pep']],
  ['PUT', '/v1/data/agent/allow', []],
  ['PATCH', '/v1/data/agent/allow', []],
  ['DELETE', '/v1/data/agent/allow', []],
  ['POST', '/v0/data/agent/allow', ['admin', 'pep']],
  ['POST', '/', ['admin', 'pep']],
  ['POST', '/v1/batch/data/agent/allow', ['admin', 'pep']],
  ['GET', '/v1/policies', READERS],
  ['GET', '/v1/policies/none.rego', READERS],
  ['PUT', '/v1/policies/none.rego', []],
  ['DELETE', '/v1/policies/none.rego', []],
  ['POST', '/v1/query', ['admin', 'pep']],
  ['POST', '/v1/compile', ['admin', 'pep']],
  ['POST', '/v1/compile/agent/allow', ['admin', 'pep']],
  ['POST', '/mcp', ALL],
  ['POST', '/mcp/tools', ALL],
  ['POST', '/mcp/portcullis', ALL],
  ['POST', '/mcp/none', ALL],
  ['GET', '/mcp-servers', READERS],
  ['POST', '/plan', ACTORS],
  ['GET', '/plans', ALL],
  ['GET', '/plans/pln_none', ALL],
  ['POST', '/turn', ['agent']],
  ['POST', '/llm/chat', ['agent']],
  ['GET', '/llm/status', ALL],
  ['POST', '/api/v1/agents/none/sandbox/run', ACTORS],
  ['GET', '/api/v1/agents/none/sandbox/runs', ALL],
  ['GET', '/api/v1/sandbox/runs/run_none', ALL],
]
const OPEN = [
  ...['/health', '/healthz', '/readyz', '/metrics'],
  ...['/access/v1/jwks', '/access/v1/request-schema'],
]

describe('agents, keys and roles', () => {
  let gate: TestGate
  const keys = new Map<Role, string>()
  before(async () => {
    gate = await TestGate.start({
      env: {
        TRUSTED_PROXIES: '127.0.0.1',
        API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},observer:watcher:${ENV_OBSERVER},agent:env-agent:${ENV_AGENT}`,
      },
    })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    keys.set('agent', await gate.agent('worker-1'))
    for (const role of [...READERS, 'pep'] as const) {
      keys.set(role, await gate.key(role, `the-${role}`))
    }
  })
  after(() => gate.stop())

  // JSON-RPC has numbers for codes, and ours beside them.
  const codeOf = ({ status, body }: Answer) => [status, body.error?.data?.code ?? body.error?.code]

  describe('every call, every role', () => {
    for (const [method, route, roles] of ROUTES) {
      it(`${method} ${route}: ${roles.join(', ')}`, async () => {
        const body = method === 'GET' || method === 'DELETE' ? {} : { body: {} }
        for (const role of KEY_ROLES) {
          const answer = await gate.call(method, route, { key: keys.get(role) ?? '', ...body })
          const [status, code] = codeOf(answer)
          if (!roles.includes(role)) expect([status, code], role).to.deep.equal([403, 'forbidden'])
          else expect([401, 405, 500], `${role}: ${code}`).to.not.include(status)
          if (roles.includes(role)) expect(code, role).to.not.equal('forbidden')
        }
        const nobody = await gate.call(method, route, { key: null, ...body })
        expect(codeOf(nobody)).to.deep.equal([401, 'unauthenticated'])
      })
    }

    it(`${OPEN.join(', ')}: open, and still refuse a key that is wrong`, async () => {
      for (const route of OPEN) {
        expect((await gate.call('GET', route, { key: null })).status).to.equal(200)
        expect((await gate.call('GET', route, { key: 'pk_wrong' })).status).to.equal(401)
      }
    })
  })

  describe('agents', () => {
    it('are created with a key that is shown once, and listed without it', async () => {
      const { status, body } = await gate.call('POST', '/api/v1/agents', {
        body: { name: 'new', roles: ['worker'], owner: 'team', properties: { tier: 2 } },
      })
      expect(status).to.equal(201)
      expect(body.agent).to.deep.include({ name: 'new', owner: 'team', roles: ['worker'] })
      expect(body.agent).to.deep.include({ status: 'active', properties: { tier: 2 } })
      expect((await gate.act(body.api_key, UPDATE)).status).to.equal(200)
      for (const route of ['/api/v1/agents', `/api/v1/agents/${body.agent.id}`, '/api/v1/keys']) {
        const { text } = await gate.call('GET', route)
        expect(text).to.not.include(body.api_key.slice(30))
      }
      expect((await gate.call('GET', '/api/v1/agents/new')).body.agent.id).to.equal(body.agent.id)
    })

    it('409 conflict for a name that is taken, 400 for what is no agent', async () => {
      const create = (body: object) => gate.call('POST', '/api/v1/agents', { body })
      expect(codeOf(await create({ name: 'worker-1' }))).to.deep.equal([409, 'conflict'])
      for (const body of [
        {},
        { name: '' },
        { name: 'a\nb' },
        { name: 'x'.repeat(201) },
        { name: 'x', roles: ['a', 'a'] },
        { name: 'x', admin: true },
        { name: 'x', properties: [] },
      ]) {
        expect(codeOf(await create(body))).to.deep.equal([400, 'invalid_request'])
      }
    })

    it('are listed page by page, each once', async () => {
      for (let n = 0; n < 5; n++) await gate.agent(`page-${n}`)
      const names: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const query: string = cursor === '' ? '' : `&cursor=${cursor}`
        const { body } = await gate.call('GET', `/api/v1/agents?limit=2${query}`)
        names.push(...body.agents.map(({ name }: { name: string }) => name))
        cursor = body.next_cursor
      }
      expect(new Set(names).size).to.equal(names.length)
      expect(names).to.include.members(['worker-1', 'page-0', 'page-4'])
    })

    it('of the environment act once they exist', async () => {
      expect((await gate.act(ENV_AGENT, UPDATE)).status).to.equal(401)
      await gate.agent('env-agent')
      await until('it is known', async () => (await gate.act(ENV_AGENT, UPDATE)).status === 200)
    })
  })

  describe('one agent and the other', () => {
    it('sees its own actions and approvals only, and learns nothing of those that are not', async () => {
      const [mine, theirs] = [await gate.agent('curious'), await gate.agent('private')]
      const remove = { tool: 'items.delete', args: { id: 'i-1' } }
      const own = (await gate.act(mine, UPDATE)).body.action_id
      const { action_id: action, approval } = (await gate.act(theirs, remove)).body
      for (const route of ['/actions', '/actions?agent=private', '/actions?state=held']) {
        const { body } = await gate.call('GET', route, { key: mine })
        const ids = body.actions.map(({ id }: { id: string }) => id)
        expect(ids, route).to.deep.equal(route.includes('held') ? [] : [own])
      }
      const listed = await gate.call('GET', '/approvals?agent=private', { key: mine })
      expect(listed.body.approvals).to.deep.equal([])
      for (const [method, route] of [
        ['GET', `/actions/${action}`],
        ['GET', `/actions/${action}/explain`],
        ['GET', `/approvals/${approval.id}`],
        ['POST', `/approvals/${approval.id}/cancel`],
      ] as const) {
        const body = method === 'POST' ? { body: {} } : {}
        const foreign = await gate.call(method, route, { key: mine, ...body })
        const absent = await gate.call(method, route.replaceAll(/_[0-9a-z]{26}/g, '_none'), {
          key: mine,
          ...body,
        })
        expect(codeOf(foreign)).to.deep.equal([404, 'not_found'])
        expect(codeOf(absent)).to.deep.equal(codeOf(foreign))
      }
      expect((await gate.call('GET', `/actions/${action}`, { key: theirs })).status).to.equal(200)
    })

    it('is told the rule that decided, not the rules around it', async () => {
      const mine = await gate.agent('asking')
      const { body } = await gate.act(mine, { tool: 'items.nothing', args: {} })
      const route = `/actions/${body.error.action_id}/explain`
      const told = (await gate.call('GET', route, { key: mine })).body
      expect(told.reasons[0]).to.have.all.keys('code', 'message', 'source')
      expect(told).to.not.have.any.keys('trace', 'audit', 'approvals', 'shadow')
      const full = (await gate.call('GET', route, { key: keys.get('observer') ?? '' })).body
      expect(full).to.include.all.keys('trace', 'audit', 'approvals', 'reasons')
    })
  })

  describe('keys', () => {
    const revoke = (id: string) => gate.call('DELETE', `/api/v1/keys/${id}`)

    it('of the environment have their role and cannot be revoked', async () => {
      expect((await gate.call('GET', '/state', { key: ENV_OBSERVER })).status).to.equal(200)
      const { body } = await gate.call('GET', '/api/v1/keys')
      expect(JSON.stringify(body)).to.not.include('watcher')
    })

    it('are refused at once when they are revoked, and only they', async () => {
      const { body } = await gate.call('POST', '/api/v1/keys', {
        body: { role: 'observer', name: 'brief' },
      })
      const use = () => gate.call('GET', '/state', { key: body.key })
      expect((await use()).status).to.equal(200)
      expect((await revoke(body.id)).status).to.equal(204)
      expect(codeOf(await use())).to.deep.equal([401, 'unauthenticated'])
      expect(codeOf(await revoke(body.id))).to.deep.equal([404, 'not_found'])
      const listed = await gate.call('GET', '/api/v1/keys')
      const row = listed.body.keys.find(({ id }: { id: string }) => id === body.id)
      expect(row).to.include({ role: 'observer', name: 'brief' })
      expect(Date.parse(row.revoked_at)).to.be.greaterThan(0)
      expect((await gate.call('GET', '/state', { key: ENV_OBSERVER })).status).to.equal(200)
    })

    it('let an agent rotate its own: both work until the old one is revoked', async () => {
      const old = await gate.agent('rotating')
      const created = await gate.call('POST', '/api/v1/keys', {
        body: { role: 'agent', name: 'second', agent: 'rotating' },
      })
      expect(created.status).to.equal(201)
      for (const key of [old, created.body.key]) {
        expect((await gate.act(key, UPDATE)).status).to.equal(200)
      }
      const id = `key_${old.split('_')[1]}`
      await revoke(id)
      expect((await gate.act(old, UPDATE)).status).to.equal(401)
      expect((await gate.act(created.body.key, UPDATE)).status).to.equal(200)
    })

    it('are nothing in part, and nothing with another\u2019s secret', async () => {
      const [one, two] = [await gate.agent('half-1'), await gate.agent('half-2')]
      const [, idOne = '', ...secretOne] = one.split('_')
      const [, idTwo = ''] = two.split('_')
      for (const key of [
        one.slice(0, -1),
        `${one}x`,
        `pk_${idTwo}_${secretOne.join('_')}`,
        `pk_${idOne}_`,
        `key_${idOne}`,
        one.toUpperCase(),
      ]) {
        expect((await gate.act(key, UPDATE)).status, key).to.equal(401)
      }
    })

    it('400 for an unknown role, an agent key without agent, and an agent for other keys', async () => {
      for (const body of [
        { role: 'root', name: 'x' },
        { role: 'agent', name: 'x' },
        { role: 'agent', name: 'x', agent: 'nobody' },
        { role: 'observer', name: 'x', agent: 'worker-1' },
        { role: 'observer' },
      ]) {
        const answer = await gate.call('POST', '/api/v1/keys', { body })
        expect(codeOf(answer)).to.deep.equal([400, 'invalid_request'])
      }
    })

    it('come and go on record, without their secrets', async () => {
      const { text, body } = await gate.call('GET', '/audit/timeline?limit=500')
      const kinds = body.entries.map(({ kind }: { kind: string }) => kind)
      expect(kinds).to.include.members(['agent.created', 'key.created', 'key.revoked'])
      for (const key of keys.values())
        expect(text).to.not.include(key.split('_').slice(2).join('_'))
    })
  })
})
