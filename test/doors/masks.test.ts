import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { ModelServer } from '../support/model-server.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const CLI = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

// What must never be written. Each has a spelling that nothing else in a test run has.
const CARD = '4929-sesame-"é"-0001'
const BLOCKED = '4929-sesame-blocked'
const ACCOUNT = 7_788_990_011_223_344
const STREET = 'Sesamestreet 7'
const PIN = 'C4N'
const TOKENS = ['tok-sesame-one', 'tok-sesame-two']
const FLAG = 'fact-sesame-value'
const SECRETS = /sesame|7788990011223344|\bC4N\b/i

const POLICY = {
  'tools.yaml': `${TOOLS}
  cards.charge:
    { upstream: test, method: POST, path: "/accounts/{account}/charge", effect: write,
      args: { type: object, required: [account, card],
        properties: { account: { type: integer }, note: { type: string }, card: { type: object,
          properties: { number: { type: string }, pin: { type: string }, address: { type: object, additionalProperties: true } } },
          holders: { type: array, items: { type: object, properties: { name: { type: string } } } } } },
      facts: { person: { tool: people.get, args: { id: /note }, ttl_s: 0 } } }
  cards.void:
    { upstream: test, method: POST, path: "/accounts/{account}/void", effect: irreversible,
      args: { type: object, required: [account, card],
        properties: { account: { type: integer }, card: { type: object, additionalProperties: true } } } }
`,
  'gate.yaml': `${GATE.replace(
    'rate_limits:',
    `  - { roles: [worker], tools: [cards.charge, llm.chat], effect: allow }
  - { roles: [worker], tools: [cards.void], effect: require_approval }
rate_limits:`,
  )}
approvals: { default: { approver_roles: [approver] } }
llm: { model: test-model }
record:
  mask:
    - /args/card/number
    - /args/card/pin
    - /args/card/address
    - /args/account
    - /args/holders/*/name
    - /facts/person/flag
    - /result/body/card/number
    - /result/body/tokens/*
    - /result/body/balance
    - /metadata/card
`,
  'cards.rego': `package agent
deny contains {"code": "card_blocked", "message": sprintf("the card %s is blocked", [number])} if {
  number := input.action.properties.args.card.number
  number == "${BLOCKED}"
}
require_approval contains sprintf("for %v, flag %v", [input.action.properties.args.account, input.context.facts.person.flag]) if {
  input.action.name == "cards.void"
}
`,
}
const card = { number: CARD, pin: PIN, address: { street: STREET } }
const charge = (note = 'p-1', more: object = {}) => ({
  tool: 'cards.charge',
  args: { account: ACCOUNT, card, note, holders: [{ name: 'Sesame One' }], ...more },
})

describe('masks of the record', () => {
  let gate: TestGate
  let receiver: TestUpstream
  let model: ModelServer
  let key: string
  let approver: string
  let events: EventReader
  before(async () => {
    receiver = await TestUpstream.start()
    receiver.behave = (_effect, res) => reply(res, 200, {})
    model = await ModelServer.start()
    gate = await TestGate.start({
      policies: POLICY,
      env: {
        APPROVAL_WEBHOOK_URL: `${receiver.url}/approvals`,
        ALERT_WEBHOOK_URL: `${receiver.url}/alerts`,
        WEBHOOK_SECRET: 'a secret of the tests, long enough',
        OPENAI_API_KEY: 'sk-of-the-tests-0123456789',
        OPENAI_BASE_URL: model.url,
      },
    })
    gate.upstream.behave = (effect, res) => {
      if (effect.url.startsWith('/people/')) return reply(res, 200, { flag: FLAG })
      res.writeHead(200, { 'content-type': 'application/json', 'x-echo': 'tok-sesame-one' })
      const said = { balance: 12345678901234567890n, card: { number: CARD }, tokens: TOKENS }
      const text = JSON.stringify({ ...said, echo: effect.body, at: effect.url }, (_key, value) =>
        typeof value === 'bigint' ? '@@' : value,
      )
      res.end(text.replace('"@@"', '12345678901234567890'))
    }
    key = await gate.agent('cashier')
    approver = await gate.key('approver', 'ann')
    events = await EventReader.open(gate.gate.url, ADMIN)
  })
  after(async () => {
    await events.close()
    await gate.stop()
    await receiver.stop()
    await model.stop()
  })

  const action = async (id: string) => (await gate.call('GET', `/actions/${id}`)).body
  const approval = async (id: string, as: string) =>
    (await gate.call('GET', `/approvals/${id}`, { key: as })).body
  const masked = /^masked:[0-9a-f]{32}$/

  /** Every row of every table, as text. */
  async function tables(): Promise<string> {
    const all = await gate.gate.operations.write(async (tx) => {
      const names = await tx.query<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema')`,
      )
      const rows: string[] = []
      for (const { name } of names) {
        const found = await tx.query<{ row: string }>(`select t::text as row from ${name} t`)
        rows.push(...found.map(({ row }) => `${name} ${row}`))
      }
      return rows
    })
    expect(all.length).to.be.greaterThan(20)
    return all.join('\n')
  }

  const writes = () => gate.upstream.effects.filter(({ method }) => method !== 'GET')
  const secretsIn = (text: string) =>
    text
      .split('\n')
      .filter((line) => SECRETS.test(line))
      .map((line) => [line.slice(0, 60), ...line.split(SECRETS).map((part) => part.slice(-80))])

  it('an allowed action is sent and answered as it is, and on record by digests', async () => {
    const { status, body } = await gate.act(key, {
      ...charge(),
      reason: `for ${CARD}`,
      context: { about: [`${ACCOUNT}`] },
      resource: { type: 'card', id: CARD },
    })
    expect(status, JSON.stringify(body)).to.equal(200)
    const sent = gate.upstream.effects.at(-1)
    expect(sent?.url).to.equal(`/accounts/${ACCOUNT}/charge`)
    expect(JSON.parse(sent?.body ?? '').card).to.deep.equal(card)
    expect(body.result.body).to.deep.include({ card: { number: CARD }, tokens: TOKENS })
    const { request, result } = await action(body.action_id)
    expect(request.args.card.number).to.match(masked)
    expect(request.args.card.address).to.match(masked)
    expect(request.args.account).to.match(masked)
    expect(request.args.holders[0].name).to.match(masked)
    expect(request.args.note).to.equal('p-1')
    expect(request.reason).to.equal(`for ${request.args.card.number}`)
    expect(request.resource.id).to.equal(request.args.card.number)
    expect(request.context.about[0]).to.match(masked)
    expect(result.masked).to.equal(true)
    expect(result.body.card.number).to.equal(request.args.card.number)
    expect(result.body.at).to.equal(`/accounts/${request.args.account}/charge`)
    expect(result.body.tokens[0]).to.match(masked).and.not.equal(result.body.tokens[1])
  })

  it('equal values have equal digests, wherever and whenever, and others others', async () => {
    const first = await action((await gate.act(key, charge('a'))).body.action_id)
    const again = await action((await gate.act(key, charge('b'))).body.action_id)
    const other = { ...card, number: '4000-sesame-other' }
    const third = await action((await gate.act(key, charge('c', { card: other }))).body.action_id)
    expect(again.request.args.card).to.deep.equal(first.request.args.card)
    expect(third.request.args.card.number).not.to.equal(first.request.args.card.number)
    expect(third.request.args.card.address).to.equal(first.request.args.card.address)
  })

  it('the same Idempotency-Key gets the answer in clear again, after a restart too', async () => {
    const headers = { 'idempotency-key': 'charge-once' }
    const first = await gate.act(key, charge('once'), headers)
    const count = writes().length
    const again = await gate.act(key, charge('once'), headers)
    expect(again.body.result.body).to.deep.equal(first.body.result.body)
    expect(writes()).to.have.length(count)
    const other = await gate.act(key, charge('once', { account: ACCOUNT + 1 }), headers)
    expect([other.status, other.body.error.code]).to.deep.equal([422, 'idempotency_mismatch'])
  })

  it('a denied action whose reason quotes the value, and a dry run', async () => {
    const blocked = { ...card, number: BLOCKED }
    const { status, body } = await gate.act(key, charge('p-2', { card: blocked }))
    expect([status, body.error.reasons[0].code]).to.deep.equal([403, 'card_blocked'])
    const dry = await gate.act(key, { ...charge('p-3', { card: blocked }), dry_run: true })
    expect(dry.body).to.include({ dry_run: true, decision: 'deny' })
    const { body: why } = await gate.call('GET', `/actions/${body.error.action_id}/explain`)
    expect(why.reasons[0].message).to.match(/^the card masked:[0-9a-f]{32} is blocked$/)
    const module = why.trace.find(({ kind }: { kind: string }) => kind === 'module')
    expect(module.expressions_missing).to.equal('what this decision saw is masked on record')
  })

  it('a held action: approvers see the values until it ends, nobody else, and nobody after', async () => {
    const args = { account: ACCOUNT, card }
    const { status, body } = await gate.act(key, { tool: 'cards.void', args })
    expect(status, JSON.stringify(body)).to.equal(202)
    const { id } = body.approval
    const seen = await approval(id, approver)
    expect(seen.args).to.deep.equal(args)
    expect(seen.request.args).to.deep.equal(args)
    expect(seen.target).to.deep.include({ path: `/accounts/${ACCOUNT}/void`, unchanged: true })
    const list = await gate.call('GET', '/approvals?status=pending', { key: approver })
    expect(list.body.approvals[0].args).to.deep.equal(args)
    for (const other of [ADMIN, key, await gate.key('observer', 'olga')]) {
      const view = await approval(id, other)
      expect(view.args.card.number).to.match(masked)
      expect(view.target.unchanged).to.equal(true)
      expect(secretsIn(JSON.stringify(view))).to.deep.equal([])
    }
    await until('the webhook comes', () => receiver.effects.some(({ body: it }) => it.includes(id)))
    expect(secretsIn(await tables())).to.deep.equal([])
    const vote = await gate.call('POST', `/approvals/${id}/approve`, {
      key: approver,
      body: {},
      headers: { 'idempotency-key': 'vote-once' },
    })
    expect(vote.status, vote.text).to.equal(200)
    const waited = await gate.call('GET', `/actions/${body.action_id}?wait_s=10`)
    expect(waited.body.status, waited.text).to.equal('succeeded')
    expect(gate.upstream.effects.at(-1)?.url).to.equal(`/accounts/${ACCOUNT}/void`)
    expect(JSON.parse(gate.upstream.effects.at(-1)?.body ?? '').card).to.deep.equal(card)
    expect((await approval(id, approver)).args.card.number).to.match(masked)
    expect(secretsIn(JSON.stringify(await approval(id, approver)))).to.deep.equal([])
    const joined = await gate.act(key, { tool: 'cards.void', args })
    expect(joined.body.joined).to.equal(true)
    expect(joined.body.result.body.tokens).to.deep.equal(TOKENS)
  })

  it('what was held is wiped when it is denied, cancelled or expired', async () => {
    const hold = async (note: string, as = key) => {
      const args = { account: ACCOUNT, card: { ...card, note } }
      return (await gate.act(as, { tool: 'cards.void', args })).body.approval.id
    }
    const left = async () =>
      Number(
        (
          await gate.gate.operations.write((tx) =>
            tx.query<{ n: bigint }>('select count(*) as n from held_requests'),
          )
        )[0]?.n,
      )
    const [denied, cancelled, expired] = [await hold('1'), await hold('2'), await hold('3')]
    const leaver = await gate.agent('leaver')
    await hold('4', leaver)
    expect(await left()).to.equal(4)
    await gate.call('POST', `/approvals/${denied}/deny`, { key: approver, body: {} })
    expect(await left()).to.equal(3)
    await gate.call('POST', `/approvals/${cancelled}/cancel`, { key, body: {} })
    expect(await left()).to.equal(2)
    await gate.gate.operations.write((tx) =>
      tx.query(`update approvals set expires_at = now() - interval '1 hour' where id = $1`, [
        expired,
      ]),
    )
    await gate.gate.operations.expire(expired)
    expect(await left()).to.equal(1)
    await gate.call('DELETE', '/api/v1/agents/leaver')
    expect(await left()).to.equal(0)
  })

  it('a held action whose clear request is gone is refused, not carried out with digests', async () => {
    const args = { account: ACCOUNT, card: { ...card, note: 'lost' } }
    const { body } = await gate.act(key, { tool: 'cards.void', args })
    await gate.gate.operations.write((tx) => tx.query('delete from held_requests'))
    const count = writes().length
    await gate.call('POST', `/approvals/${body.approval.id}/approve`, { key: approver, body: {} })
    const { body: ended } = await gate.call('GET', `/actions/${body.action_id}?wait_s=10`)
    expect(ended.status).to.equal('denied')
    expect(writes()).to.have.length(count)
  })

  it('what an upstream says that is no JSON, is cut off, or breaks', async () => {
    const { behave } = gate.upstream
    const says = (type: string, body: string | Buffer, status = 200) => {
      gate.upstream.behave = (effect, res) => {
        if (effect.url.startsWith('/people/')) return reply(res, 200, { flag: FLAG })
        res.writeHead(status, { 'content-type': type })
        res.end(body)
      }
    }
    const result = async () => {
      const { body, status } = await gate.act(key, charge('p-4'))
      expect(status, JSON.stringify(body)).to.equal(200)
      return (await action(body.action_id)).result
    }
    says('application/json', `{"card":{"number":"${TOKENS[0]}`)
    expect((await result()).body).to.match(masked)
    says('application/json', '')
    expect((await result()).body).to.equal('')
    says('text/plain', `charged ${CARD}`)
    expect((await result()).body).to.match(/^charged masked:[0-9a-f]{32}$/)
    says('application/octet-stream', Buffer.from([0xff, 0xfe, ...Buffer.from(`${ACCOUNT}`)]))
    expect((await result()).body).to.match(masked)
    const long = {
      card: { number: CARD },
      pad: 'x'.repeat(300_000),
      last: TOKENS[1],
      tokens: TOKENS,
    }
    says('application/json', JSON.stringify(long))
    expect((await result()).body).to.match(/^\{"card":\{"number":"masked:/)
    says('application/json', JSON.stringify({ message: `no ${CARD}`, tokens: TOKENS }), 503)
    await result()
    const { alerts } = (await gate.call('GET', '/api/v1/alerts')).body
    expect(alerts[0].type).to.equal('action_failed')
    gate.upstream.behave = behave
  })

  it('the proxy, whose path holds a masked arg', async () => {
    const { status, body } = await gate.call('POST', `/proxy/test/accounts/${ACCOUNT}/charge`, {
      key,
      body: { card, note: 'p-1' },
    })
    expect(status, JSON.stringify(body)).to.equal(200)
    expect(body.card.number).to.equal(CARD)
    expect(gate.upstream.effects.at(-1)?.url).to.equal(`/accounts/${ACCOUNT}/charge`)
  })

  it('a turn: the calls a model proposes, what it is told, and what it says of it', async () => {
    const args = { account: ACCOUNT, card, note: 'p-1' }
    model.says(
      { calls: [{ name: 'cards_charge', args }] },
      { text: `charged ${CARD} with ${TOKENS[0]}` },
    )
    const { status, body } = await gate.call('POST', '/turn', {
      key,
      body: { prompt: 'charge it' },
      headers: { 'idempotency-key': 'turn-once' },
    })
    expect(status, JSON.stringify(body)).to.equal(200)
    expect(body.text).to.equal(`charged ${CARD} with ${TOKENS[0]}`)
    expect(JSON.parse(gate.upstream.effects.at(-1)?.body ?? '').card).to.deep.equal(card)
  })

  it('a turn whose results are too long to be told whole', async () => {
    const { behave } = gate.upstream
    gate.upstream.behave = (effect, res) => {
      if (effect.url.startsWith('/people/')) return reply(res, 200, { flag: FLAG })
      reply(res, 200, { card: { number: '5500-sesame-long' }, pad: 'x'.repeat(40_000) })
    }
    const args = { account: ACCOUNT, card, note: 'p-6' }
    model.says({ calls: [{ name: 'cards_charge', args }] }, { text: 'it was 5500-sesame-long' })
    const { body } = await gate.call('POST', '/turn', { key, body: { prompt: 'charge' } })
    expect(body.text).to.equal('it was 5500-sesame-long')
    const told = model.requests.at(-1)?.body.messages.at(-1).content
    expect(told).to.contain('5500-sesame-long').and.to.contain('more characters')
    const asked = await action(body.model_calls.at(-1))
    expect(asked.result.body.text).to.match(/^it was masked:[0-9a-f]{32}$/)
    gate.upstream.behave = behave
  })

  it('a chat, whose answer is masked whole', async () => {
    const gate2 = await TestGate.start({
      policies: {
        ...POLICY,
        'gate.yaml': POLICY['gate.yaml'].replace('/result/body/balance', '/result/body'),
      },
      env: { OPENAI_API_KEY: 'sk-of-the-tests-0123456789', OPENAI_BASE_URL: model.url },
    })
    const as = await gate2.agent('talker')
    const rotate = { body: { overlap_s: 3_600 } }
    const { body: second } = await gate2.call('POST', '/api/v1/agents/talker/keys/rotate', rotate)
    model.says({ text: 'of a sesame' })
    const asked = { body: { prompt: 'hi' }, headers: { 'idempotency-key': 'chat-once' } }
    const { body } = await gate2.call('POST', '/llm/chat', { key: as, ...asked })
    expect(body.text).to.equal('of a sesame')
    const { dataDir, policyDir, upstream } = gate2
    const recorded = await gate2.call('GET', `/actions/${body.action_id}`)
    expect(recorded.body.result.body).to.match(masked)
    await gate2.stop()
    await upstream.restart(0).catch(() => {})
    const later = await TestGate.start({
      dataDir,
      policyDir,
      upstream,
      env: { OPENAI_API_KEY: 'sk-of-the-tests-0123456789', OPENAI_BASE_URL: model.url },
    })
    const again = await later.call('POST', '/llm/chat', { key: as, ...asked })
    expect(again.body.text, again.text).to.equal('of a sesame')
    const other = await later.call('POST', '/llm/chat', { key: second.key, ...asked })
    expect(other.body.text, other.text).to.match(masked)
    await later.stop()
    await upstream.stop()
  })

  it('the metadata of reports and figures, and a scenario of the sandbox', async () => {
    const report = { action_type: 'payment', cost: '0.01', metadata: { card: CARD, kind: 'x' } }
    const { status, body } = await gate.call('POST', '/api/v1/actions', {
      key,
      body: report,
      headers: { 'idempotency-key': 'report-once' },
    })
    expect(status, JSON.stringify(body)).to.equal(201)
    expect(body.action.metadata.card).to.match(masked)
    expect(body.action.metadata.kind).to.equal('x')
    const figure = { metric_type: 'x', value: 1, metadata: { card: CARD } }
    await gate.call('POST', '/api/v1/metrics', { key, body: figure })
    const event = { event_type: 'paid', reason: `with ${CARD}`, metadata: { card: CARD } }
    await gate.call('POST', '/api/v1/events/ingest', { key, body: event })
    const { tool, args } = charge('s-1', { card: { ...card, number: BLOCKED } })
    const scenario = {
      name: 'blocked',
      facts: { person: { flag: FLAG } },
      actions: [{ tool, args, expect: { effect: 'deny', reason: 'card_blocked' } }],
    }
    const me = (await gate.call('GET', '/api/v1/agents/name/cashier')).body.agent.id
    const run = await gate.call('POST', `/api/v1/agents/${me}/sandbox/run`, { body: { scenario } })
    const of = async () => (await gate.call('GET', `/api/v1/sandbox/runs/${run.body.run_id}`)).body
    await until('it is played', async () => (await of()).finished_at !== null)
    expect((await of()).status).to.equal('passed')
  })

  it('none of it is in the database, its files, the log, the events, the webhooks or the export', async () => {
    await until('all events came', async () => {
      const { checkpoint } = (await gate.call('GET', '/audit/checkpoint')).body
      return (events.ids.at(-1) ?? 0) >= Number(checkpoint.size)
    })
    expect(secretsIn(await tables())).to.deep.equal([])
    expect(secretsIn(events.text)).to.deep.equal([])
    expect(receiver.effects.length).to.be.greaterThan(0)
    expect(secretsIn(receiver.effects.map(({ body }) => body).join('\n'))).to.deep.equal([])
    const { text } = await gate.call('GET', '/audit/export')
    expect(secretsIn(text)).to.deep.equal([])
    const file = path.join(gate.dataDir, 'export.jsonl')
    fs.writeFileSync(file, text)
    const publicKey = path.join(gate.dataDir, 'audit-public-key.pem')
    execFileSync(process.execPath, [CLI, 'audit', 'verify', file, '--public-key', publicKey])
    let knows = false
    for (const name of fs.readdirSync(gate.dataDir, { recursive: true, encoding: 'utf8' })) {
      const at = path.join(gate.dataDir, name)
      if (!fs.statSync(at).isFile()) continue
      const content = fs.readFileSync(at, 'latin1')
      knows ||= content.includes('cashier')
      expect(SECRETS.test(content), name).to.equal(false)
    }
    expect(knows).to.equal(true)
  })

  it('the answer to a keyed request is still in clear when another gate is asked', async () => {
    const { dataDir, policyDir, upstream } = gate
    await events.close()
    await gate.stop()
    await upstream.restart(0).catch(() => {})
    gate = await TestGate.start({ dataDir, policyDir, upstream })
    events = await EventReader.open(gate.gate.url, ADMIN)
    const count = writes().length
    const headers = { 'idempotency-key': 'charge-once' }
    const { status, body } = await gate.act(key, charge('once'), headers)
    expect([status, body.result?.body.card.number]).to.deep.equal([200, CARD])
    const { body: rotated } = await gate.call('POST', '/api/v1/agents/cashier/keys/rotate', {
      body: { overlap_s: 0 },
    })
    const later = await gate.act(rotated.key, charge('once'), headers)
    expect(later.body.result).to.include({ masked: true })
    expect(later.body.result.body.card.number).to.match(masked)
    expect(writes()).to.have.length(count)
  })
})

describe('masks in a policy', () => {
  const problems = async (mask: string) => {
    const gate = await TestGate.start()
    const files = { 'tools.yaml': TOOLS, 'gate.yaml': `${GATE}record: { mask: ${mask} }\n` }
    const { body } = await gate.call('POST', '/policy/check', { body: { files } })
    await gate.stop()
    const found = body.error?.diagnostics ?? []
    return found.map(({ code, line, hint }: { code: string; line: number; hint: string }) => ({
      code,
      line,
      hint,
    }))
  }

  it('one that can never match is an error, with what was meant', async () => {
    const found = await problems(
      '[/args/nott, /facts/persn/x, /elsewhere/x, /args, /result/status]',
    )
    expect(found.map(({ code }: { code: string }) => code)).to.deep.equal([
      'mask_matches_nothing',
      'mask_matches_nothing',
      'bad_pointer',
      'bad_pointer',
      'bad_pointer',
    ])
    expect(found[0].hint).to.contain('/args/note')
    expect(found[1].hint).to.contain('person')
  })

  it('takes every place that may hold something', async () => {
    const mask =
      '[/args/note, /args/data/any/depth, /args/tags/*, /facts/person/x, /result/body, /context/a, /metadata/b, /args/messages/*/content]'
    expect(await problems(mask)).to.deep.equal([])
  })
})
