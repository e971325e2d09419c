import { expect } from 'chai'
import { TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const DELETE = { tool: 'items.delete', args: { id: 'i-1' } }
const WINDOWS = `${GATE}guards:
  - { id: few, kind: bulk_limit, tools: [items.update], windows: [{ count: actions, limit: 2, per_s: 3600 }] }
  - { id: none, kind: bulk_limit, tools: [items.list], windows: [{ count: actions, limit: 0, per_s: 3600 }] }
`
const SEND = { tool: 'mail.send', args: { id: 'p-1', text: 'hello' } }

describe('answers', () => {
  let gate: TestGate
  let key: string
  let agents = 0
  before(async () => {
    gate = await TestGate.start()
  })
  after(() => gate.stop())
  beforeEach(async () => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
    key = await gate.agent(`answers-${agents++}`)
    await usePolicies({})
  })

  async function usePolicies(files: Record<string, string>): Promise<void> {
    writePolicies(gate.policyDir, files)
    const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
    expect(status, text).to.equal(200)
  }

  const raw = (text: string, type = 'application/json') => {
    gate.upstream.behave = (_effect, res) => {
      res.writeHead(200, { 'content-type': type })
      res.end(text)
    }
  }

  describe('hand on what an upstream said as it said it', () => {
    const NUMBERS =
      '{"id":12345678901234567890,"rate":0.1234567890123456789,"a":1,"a":2, "z": 1.0e2}'

    it('digit by digit, at once and from the record', async () => {
      raw(NUMBERS)
      const { text, body } = await gate.act(key, UPDATE)
      expect(text).to.include(`"body":${NUMBERS}`)
      const read = await gate.call('GET', `/actions/${body.action_id}`)
      expect(read.text).to.include(`"body":${NUMBERS}`)
      const list = await gate.call('GET', '/actions?limit=5')
      expect(list.text).to.include(`"body":${NUMBERS}`)
    })

    it('as text where it is nothing a reader of JSON could take, and no list breaks of it', async () => {
      const deep = '['.repeat(20_000) + ']'.repeat(20_000)
      for (const text of [deep, '{"a":', '[1,]', 'NaN', '']) {
        raw(text)
        const { status, body } = await gate.act(key, UPDATE)
        expect(status).to.equal(200)
        expect(body.result.body).to.equal(text)
        expect((await gate.call('GET', `/actions/${body.action_id}`)).body.result.body).to.equal(
          text,
        )
      }
      expect((await gate.call('GET', '/actions?limit=20')).status).to.equal(200)
    })

    it('and a body that spells the marks of the gate changes nothing else', async () => {
      raw('{"text":"\\u0000raw:0","list":["a"]}')
      const { body } = await gate.act(key, UPDATE)
      expect(body.result.body).to.deep.equal({ text: '\u0000raw:0', list: ['a'] })
    })
  })

  describe('of a look-up that decides', () => {
    const flagged = (person: string) => {
      gate.upstream.behave = (effect, res) => {
        res.writeHead(200, { 'content-type': 'application/json' })
        res.end(effect.url === '/people/p-1' ? person : '{}')
      }
    }
    const mailed = () => gate.upstream.effects.filter(({ method }) => method === 'POST').length

    for (const [what, person] of Object.entries({
      'a number that JavaScript rounds': '{"id":175928847299117063}',
      'a member twice': '{"do_not_contact":true,"do_not_contact":false}',
      'more after it': '{"id":1} {"id":2}',
      'half a character': '{"id":"\\ud800"}',
    })) {
      it(`refuse ${what}, rather than guess`, async () => {
        flagged(person)
        const { status, body } = await gate.act(key, SEND)
        expect([status, body.error.code, body.error.reasons[0].code]).to.deep.equal([
          403,
          'policy_denied',
          'fact_unavailable',
        ])
        expect(mailed()).to.equal(0)
      })
    }

    it('quote nothing of it to the agent when it cannot be read', async () => {
      flagged('db_password=hunter2 <html>')
      const { status, text, body } = await gate.act(key, SEND)
      expect([status, body.error.reasons[0].code]).to.deep.equal([403, 'fact_unavailable'])
      const seen = [text]
      for (const route of [
        `/actions/${body.error.action_id}`,
        `/actions/${body.error.action_id}/explain`,
      ]) {
        seen.push((await gate.call('GET', route)).text)
      }
      seen.push((await gate.call('GET', '/audit/export')).text)
      for (const one of seen) expect(one).to.not.include('hunter2').and.not.include('db_pass')
    })
  })

  describe('of a window that is full', () => {
    it('say when it opens again, and settle no Idempotency-Key', async () => {
      await usePolicies({ 'gate.yaml': WINDOWS })
      await gate.act(key, UPDATE)
      await gate.act(key, UPDATE)
      const before = Date.now()
      const { status, body, headers } = await gate.act(key, UPDATE, { 'idempotency-key': 'full' })
      expect([status, body.error.code, body.error.retryable]).to.deep.equal([
        403,
        'policy_denied',
        true,
      ])
      const opens = Date.parse(body.error.retry_at)
      expect(opens).to.be.within(before + 3_600_000, before + 3_600_000 * (14 / 12))
      const seconds = Number(headers.get('retry-after'))
      expect(seconds).to.be.within((opens - Date.now()) / 1000 - 1, (opens - before) / 1000 + 1)
      expect(headers.get('x-should-retry')).to.equal(null)
      await usePolicies({})
      const again = await gate.act(key, UPDATE, { 'idempotency-key': 'full' })
      expect(again.status).to.equal(200)
    })

    it('say nothing of the kind where it never opens', async () => {
      await usePolicies({ 'gate.yaml': WINDOWS })
      const { body, headers } = await gate.act(key, { tool: 'items.list', args: {} })
      expect(body.error.retryable).to.equal(false)
      expect([headers.get('retry-after'), headers.get('x-should-retry')]).to.deep.equal([
        null,
        'false',
      ])
    })
  })

  describe('to the same held request sent again without a key', () => {
    const pending = async (): Promise<number> =>
      (await gate.call('GET', '/approvals?status=pending', { key })).body.approvals.length
    const approve = (id: string) => gate.call('POST', `/approvals/${id}/approve`, { body: {} })
    const ended = (actionId: string) =>
      until('it ended', async () => {
        const { body } = await gate.call('GET', `/actions/${actionId}`)
        return !['held', 'executing'].includes(body.state)
      })

    it('join the first, and say so: one approval, one effect, and its outcome once', async () => {
      const first = await gate.act(key, DELETE)
      expect(first.body.next_action).to.include(`GET /actions/${first.body.action_id}`)
      expect(first.body).to.not.have.property('joined')
      const again = await Promise.all(Array.from({ length: 5 }, () => gate.act(key, DELETE)))
      for (const { status, body } of again) {
        expect([status, body.action_id, body.joined]).to.deep.equal([
          202,
          first.body.action_id,
          true,
        ])
      }
      expect(await pending()).to.equal(1)
      await approve(first.body.approval.id)
      await ended(first.body.action_id)
      const outcome = await gate.act(key, DELETE)
      expect([outcome.status, outcome.body.action_id, outcome.body.joined]).to.deep.equal([
        200,
        first.body.action_id,
        true,
      ])
      expect(gate.upstream.effects).to.have.length(1)
      const next = await gate.act(key, DELETE)
      expect(next.status).to.equal(202)
      expect(next.body.action_id).to.not.equal(first.body.action_id)
    })

    it('join each other when they come at once', async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => gate.act(key, DELETE)))
      expect(new Set(answers.map(({ body }) => body.action_id)).size).to.equal(1)
      expect(await pending()).to.equal(1)
    })

    it('do not join once the agent has read how it ended', async () => {
      const first = await gate.act(key, DELETE)
      await approve(first.body.approval.id)
      await ended(first.body.action_id)
      await gate.call('GET', `/actions/${first.body.action_id}`, { key })
      expect((await gate.act(key, DELETE)).status).to.equal(202)
    })

    it('do not join what ended longer ago than the policy says, another request, or another agent', async () => {
      await usePolicies({ 'gate.yaml': `${GATE}approvals: { default: { result_ttl_s: 0 } }\n` })
      const first = await gate.act(key, DELETE)
      const { approval } = (await gate.act(key, { ...DELETE, args: { id: 'i-2' } })).body
      expect(approval.id).to.not.equal(first.body.approval.id)
      const other = await gate.agent(`answers-other-${agents++}`)
      expect((await gate.act(other, DELETE)).body).to.not.have.property('joined')
      await approve(first.body.approval.id)
      await ended(first.body.action_id)
      expect((await gate.act(key, DELETE)).body.joined).to.equal(undefined)
    })
  })

  it('that must not be repeated say so to client libraries', async () => {
    gate.upstream.behave = (_effect, _res, socket) => void socket.destroy()
    const unknown = await gate.act(key, UPDATE)
    expect([unknown.status, unknown.headers.get('x-should-retry')]).to.deep.equal([504, 'false'])
    const denied = await gate.act(key, { tool: 'items.nothing', args: {} })
    expect([denied.status, denied.headers.get('x-should-retry')]).to.deep.equal([403, 'false'])
  })

  describe('and the record', () => {
    const metric = async (name: string): Promise<number> => {
      const { text } = await gate.call('GET', '/metrics', { key: null })
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
    }
    const last = async (kind: string): Promise<Answer['body']> =>
      (await gate.call('GET', `/audit/timeline?kind=${kind}&limit=1`)).body.entries[0]

    it('count dry runs apart from decisions and denials', async () => {
      const denied = 'policy_denied_total{reason="unknown_tool"}'.replace(/[{}"]/g, '\\$&')
      const before = [
        await metric(denied),
        await metric('portcullis_dry_runs_total\\{effect="deny"\\}'),
      ]
      await gate.act(key, { tool: 'items.nothing', args: {}, dry_run: true })
      const after = [
        await metric(denied),
        await metric('portcullis_dry_runs_total\\{effect="deny"\\}'),
      ]
      expect(after).to.deep.equal([before[0], (before[1] ?? 0) + 1])
    })

    it('measure what deciding takes', async () => {
      const before = await metric('portcullis_decision_seconds_sum')
      const count = await metric('portcullis_decision_seconds_count')
      const deny = `package agent\n\ndeny contains "slow" if {\n\tcount({n | some n in numbers.range(1, 60000); n % 7 == 0}) < 0\n}\n`
      await usePolicies({ 'agent.rego': deny })
      await gate.act(key, UPDATE)
      const spent = (await metric('portcullis_decision_seconds_sum')) - before
      expect(await metric('portcullis_decision_seconds_count')).to.equal(count + 1)
      // The rule takes milliseconds; what was measured before began after the decision: microseconds.
      expect(spent).to.be.greaterThan(0.001)
    })

    it('name the agent of an outcome, say that what was approved was allowed, and what it cost', async () => {
      await usePolicies({
        'tools.yaml': TOOLS.replace('method: DELETE,', "method: DELETE, cost: '0.05',"),
      })
      const { body } = await gate.act(key, DELETE)
      await gate.call('POST', `/approvals/${body.approval.id}/approve`, { body: {} })
      await until('it ended', async () => (await last('outcome'))?.action_id === body.action_id)
      const outcome = await last('outcome')
      expect(outcome).to.include({ effect: 'allow', state: 'succeeded' })
      expect(outcome.agent_name).to.match(/^answers-/)
      expect((await last('decision')).cost).to.equal('0.05')
    })
  })
})
