import { expect } from 'chai'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { scratch } from './support/scratch.ts'
import { ADMIN, TestGate, until } from './support/gate.ts'
import { ModelServer } from './support/model-server.ts'
import { DemoService } from '../src/cli/demo-service.ts'

const run = promisify(execFile)
const ROOT = path.resolve(import.meta.dirname, '..')
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')

/** A call that one of the five documents shows: its text, and the status it promises. */
interface Documented {
  readonly from: string
  readonly curl: string
  readonly status: number
  /** Whose key is added; the documents had none, or one of their own. */
  readonly as?: 'agent'
}

const JSON_BODY = '-H "Content-Type: application/json"'

/** Verbatim but for the line breaks; hosts, keys and ids are put in when it is replayed. */
const CURLS: readonly Documented[] = [
  {
    from: 'agent-ledger',
    curl: `curl -X POST http://localhost:3000/api/agents ${JSON_BODY} -d '{ "name": "My Agent", "role": "Task automation", "ownerId": "user_123", "monthlyBudget": 100.00, "perActionLimit": 5.00 }'`,
    status: 201,
  },
  {
    from: 'agent-ledger',
    curl: `curl -X POST http://localhost:3000/api/actions ${JSON_BODY} -d '{ "agentId": "YOUR_AGENT_ID", "actionType": "api_call", "target": "openai:gpt-4", "cost": 0.05, "outcome": "success", "metadata": "{\\"tokens\\": 1500}" }'`,
    status: 201,
  },
  {
    from: 'agent-ledger: cost exceeds per-action limit',
    curl: `curl -X POST http://localhost:3000/api/actions ${JSON_BODY} -d '{ "agentId": "YOUR_AGENT_ID", "actionType": "api_call", "target": "openai:gpt-4", "cost": 5.01, "outcome": "success" }'`,
    status: 400,
  },
  {
    from: 'agent-ledger: agent not found',
    curl: `curl -X POST http://localhost:3000/api/actions ${JSON_BODY} -d '{ "agentId": "nobody", "actionType": "api_call", "target": "openai:gpt-4", "cost": 0.05, "outcome": "success" }'`,
    status: 404,
  },
  { from: 'agent-ledger', curl: 'curl http://localhost:3000/api/agents', status: 200 },
  {
    from: 'agent-ledger',
    curl: 'curl http://localhost:3000/api/agents/YOUR_AGENT_ID',
    status: 200,
  },
  {
    from: 'agent-ledger',
    curl: `curl -X PATCH http://localhost:3000/api/agents/YOUR_AGENT_ID ${JSON_BODY} -d '{"status": "paused"}'`,
    status: 200,
  },
  {
    from: 'agent-ledger: agent is paused',
    curl: `curl -X POST http://localhost:3000/api/actions ${JSON_BODY} -d '{ "agentId": "YOUR_AGENT_ID", "actionType": "api_call", "target": "openai:gpt-4", "cost": 0.05, "outcome": "success" }'`,
    status: 403,
  },
  { from: 'agent-ledger', curl: 'curl http://localhost:3000/api/alerts', status: 200 },
  {
    from: 'agent-ledger',
    curl: 'curl http://localhost:3000/api/alerts?agentId=YOUR_AGENT_ID',
    status: 200,
  },
  {
    from: 'agent-manager',
    curl: `curl -s -X POST http://127.0.0.1:5176/api/v1/agent/spawn -H 'Content-Type: application/json' -d '{"agent_config":{"name":"demo","profile":"personal","metadata":{"owner":"ryan"}}}'`,
    status: 201,
  },
  { from: 'agent-reality-map', curl: 'curl http://localhost:8000/api/v1/agents/', status: 200 },
  {
    from: 'version-7',
    curl: `curl -X POST http://127.0.0.1:8000/policy/reload -H "X-API-Key: test" ${JSON_BODY} -d '{"path":"policies/valid.yaml"}'`,
    status: 200,
  },
  {
    from: 'version-7',
    curl: `curl -X POST http://127.0.0.1:8000/policy/reload -H "X-API-Key: test" ${JSON_BODY} -d '{"path":"policies/invalid.yaml"}'`,
    status: 422,
  },
  {
    from: 'version-7',
    curl: 'curl -s -H "X-API-Key: your_key" http://localhost:10000/healthz',
    status: 200,
  },
  {
    from: 'version-7: Invoke-WebRequest',
    curl: `curl http://127.0.0.1:8000/meta -H 'X-API-Key: test'`,
    status: 200,
  },
]

/** Endpoints the documents list without an example: method, path, body, status. */
const LISTED: readonly (readonly [string, string, unknown, number, 'agent'?])[] = [
  // npc-manager
  ['POST', '/action', { tool: 'tickets.list', args: {} }, 200, 'agent'],
  ['GET', '/health', undefined, 200],
  ['GET', '/audit/timeline', undefined, 200],
  // agent-manager
  ['POST', '/api/v1/agent/spawn', { agent_config: { name: 'k', profile: 'illuvrse' } }, 403],
  ['GET', '/api/v1/agent/demo/status', undefined, 200],
  ['POST', '/api/v1/agent/demo/action', { action: 'start' }, 200],
  ['POST', '/api/v1/agent/demo/action', { action: 'restart' }, 200],
  ['POST', '/api/v1/agent/demo/action', { action: 'scale', replicas: 2 }, 200],
  ['POST', '/api/v1/agent/demo/action', { action: 'stop' }, 200],
  ['POST', '/api/v1/agent/templates', { name: 't', config: { roles: ['r'] } }, 201],
  ['GET', '/api/v1/agent/templates', undefined, 200],
  [
    'POST',
    '/api/v1/agent/demo/sandbox/run',
    { scenario: { actions: [{ tool: 'tickets.list', args: {}, expect: { effect: 'deny' } }] } },
    202,
  ],
  ['DELETE', '/api/v1/agent/demo', undefined, 204],
  // agent-reality-map
  [
    'POST',
    '/api/v1/agents/',
    { name: 'mapped', role: 'coder', category: 'c', specialist: true },
    201,
  ],
  ['GET', '/api/v1/agents/?role=coder&category=c&specialist=true', undefined, 200],
  ['GET', '/api/v1/agents/mapped', undefined, 200],
  ['GET', '/api/v1/agents/name/mapped', undefined, 200],
  ['PUT', '/api/v1/agents/mapped', { category: 'd' }, 200],
  ['POST', '/api/v1/agents/mapped/activate', undefined, 200],
  ['GET', '/api/v1/agents/stats/summary', undefined, 200],
  ['POST', '/api/v1/metrics/', { agent_id: 'mapped', metric_type: 'quality', value: 0.9 }, 201],
  ['GET', '/api/v1/metrics/?agent_id=mapped&metric_type=quality&since=2020-01-01', undefined, 200],
  ['GET', '/api/v1/metrics/aggregate', undefined, 200],
  ['GET', '/api/v1/metrics/agent/mapped/summary', undefined, 200],
  ['POST', '/api/v1/events/ingest', { event_type: 'post-audit-trail', agent_id: 'mapped' }, 201],
  ['GET', '/api/v1/events/audit?agent_id=mapped', undefined, 200],
  ['GET', '/api/v1/events/audit/stats', undefined, 200],
  ['GET', '/docs', undefined, 200],
  ['DELETE', '/api/v1/agents/mapped', undefined, 204],
  // version-7
  ['POST', '/act', { tool: 'tickets.list', args: {} }, 200, 'agent'],
  ['POST', '/turn', { prompt: 'hello' }, 200, 'agent'],
  ['POST', '/turn', { prompt: 'please run rm -rf / now' }, 422, 'agent'],
  ['GET', '/state', undefined, 200],
  ['GET', '/meta', undefined, 200],
  ['GET', '/metrics', undefined, 200],
  ['POST', '/plan', { changes: [{ path: 'docs/a.md', after: 'x\n' }] }, 201],
  ['POST', '/plan', { changes: [{ path: '../etc/passwd', after: 'x\n' }] }, 403],
  ['GET', '/llm/status', undefined, 200],
  ['POST', '/llm/chat', { prompt: 'hello' }, 200, 'agent'],
  ['GET', '/openapi.json', undefined, 200],
]

describe('the five documents Portcullis descends from', function () {
  this.timeout(600_000)
  let gate: TestGate
  let demo: DemoService
  let model: ModelServer
  let agent: string
  let agentId: string
  before(async () => {
    model = await ModelServer.start()
    model.says({ text: 'hello to you' })
    demo = await DemoService.start({ port: 0 })
    const dir = path.join(scratch('seeds'), 'policies')
    fs.cpSync(path.join(ROOT, 'policies'), dir, { recursive: true })
    gate = await TestGate.start({
      policyDir: dir,
      env: {
        TICKETING_API_URL: demo.url,
        PLANS_DIR: scratch('plans'),
        OPENAI_API_KEY: 'sk-of-the-seeds',
        OPENAI_BASE_URL: model.url,
        RATE_LIMIT_PER_S: '1000',
      },
    })
    agent = await gate.agent('agent-support-001', ['support'])
  })
  after(async () => {
    await gate?.stop()
    await demo?.stop()
    await model?.stop()
  })

  for (const { from, curl, status } of CURLS) {
    it(`${from}: ${curl.slice(0, 90)} answers ${status}`, async () => {
      if (curl.includes('YOUR_AGENT_ID')) {
        agentId ??= (await gate.call('GET', '/api/v1/agents/name/My%20Agent')).body.agent.id
      }
      const command = curl
        .replace(/https?:\/\/(?:localhost|127\.0\.0\.1):\d+/, gate.gate.url)
        .replaceAll('YOUR_AGENT_ID', agentId ?? '')
        .replace(/-H ["']X-API-Key: [a-z_]+["']/, '')
        .replace(/^curl/, `curl -s -o /dev/null -w '%{http_code}' -H 'X-API-Key: ${ADMIN}'`)
      // Not the synchronous kind: the gate answers in this process.
      const { stdout } = await run('bash', ['-c', command], { encoding: 'utf8' })
      expect(stdout).to.equal(String(status))
    })
  }

  for (const [method, route, body, status, as] of LISTED) {
    it(`${method} ${route} answers ${status}`, async () => {
      const answer = await gate.call(method, route, { body, ...(as ? { key: agent } : {}) })
      expect(answer.status, answer.text).to.equal(status)
    })
  }

  it('agent-ledger: over the monthly budget the agent is paused and an alert is raised', async () => {
    const { body } = await gate.call('POST', '/api/agents', {
      body: { name: 'poor', role: 'r', ownerId: 'u', monthlyBudget: 1, perActionLimit: 5 },
    })
    expect(body).to.include({ ownerId: 'u', monthlyBudget: 1, perActionLimit: 5, role: 'r' })
    const act = (cost: number) =>
      gate.call('POST', '/api/actions', {
        body: { agentId: body.id, actionType: 'api_call', target: 't', cost, outcome: 'success' },
      })
    expect((await act(1)).status).to.equal(201)
    expect((await act(0.01)).status).to.equal(403)
    const { body: one } = await gate.call('GET', `/api/agents/${body.id}`)
    expect([one.status, one.actions.length]).to.deep.equal(['paused', 1])
    const { body: alerts } = await gate.call('GET', `/api/alerts?agentId=${body.id}`)
    const exceeded = alerts.alerts.filter(
      ({ type }: { type: string }) => type === 'budget_exceeded',
    )
    expect(exceeded).to.have.length(1)
    expect(exceeded[0]).to.include({ agentId: body.id })
  })

  it('version-7: an unknown key is 401, events begin with a retry hint, errors have one shape', async () => {
    expect((await gate.call('GET', '/meta', { key: 'pk_wrong' })).status).to.equal(401)
    const stream = await fetch(`${gate.gate.url}/events`, { headers: { 'x-api-key': ADMIN } })
    const reader = stream.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    expect(new TextDecoder().decode(value)).to.match(/^retry: \d+/)
    await reader?.cancel()
    const unknown = await gate.call('GET', '/nowhere')
    expect(unknown.body.error).to.include.keys('code', 'message')
    expect(unknown.headers.get('x-request-id')).to.match(/./)
  })

  it('npc-manager: the business system behind the gate has its five calls', async () => {
    const call = (method: string, route: string, body?: unknown) =>
      fetch(`${demo.url}${route}`, {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    const tickets = (await (await call('GET', '/tickets')).json()) as { tickets: { id: string }[] }
    expect(tickets.tickets).to.have.length(12)
    const id = tickets.tickets[0]?.id ?? ''
    expect((await call('GET', `/tickets/${id}`)).status).to.equal(200)
    expect((await call('PATCH', `/tickets/${id}`, { status: 'resolved' })).status).to.equal(200)
    expect((await call('GET', '/customers/c-1')).status).to.equal(200)
    const mail = await call('POST', '/customers/c-1/email', { subject: 's', body: 'b' })
    expect(mail.status).to.equal(200)
  })

  it('agent-manager: a sandbox run is queued, and completes as passed or failed', async () => {
    const { body: made } = await gate.call('POST', '/api/v1/agents', {
      body: { name: 'boxed', roles: ['support'] },
    })
    const run = async (effect: string) => {
      const { body } = await gate.call('POST', `/api/v1/agent/${made.agent.id}/sandbox/run`, {
        body: { scenario: { actions: [{ tool: 'tickets.list', args: {}, expect: { effect } }] } },
      })
      let status = 'queued'
      await until('it is played', async () => {
        const answer = await gate.call('GET', `/api/v1/sandbox/runs/${body.run_id}`)
        status = answer.body.status
        return !['queued', 'running'].includes(status)
      })
      return status
    }
    expect([await run('allow'), await run('deny')]).to.deep.equal(['passed', 'failed'])
  })

  describe('docs/seeds.md', () => {
    const rows = read('docs/seeds.md')
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| what'))
      .map((line) =>
        line
          .split(/(?<!\\)\|/)
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )

    it('has a row for everything, and none of them is empty', () => {
      expect(rows.length).to.be.greaterThan(80)
      for (const row of rows) {
        expect(row, row.join(' | ')).to.have.length(3)
        for (const cell of row) expect(cell, row.join(' | ')).to.not.equal('')
      }
    })

    it('names files that are there', () => {
      const missing = rows
        .flatMap((row) => [
          ...row
            .join(' ')
            .matchAll(
              /`((?:src|test|docs|ops|bench|policies|examples|schemas|plans)\/[\w./*-]+)`/g,
            ),
        ])
        .map(([, file = '']) => file)
        .filter((file) => !file.includes('*') && !fs.existsSync(path.join(ROOT, file)))
      expect(missing).to.deep.equal([])
    })

    it('gives a test to each row', () => {
      const without = rows.filter(([, , shown = '']) => !/`(?:test\/|npm run )/.test(shown))
      expect(without).to.deep.equal([])
    })
  })
})
