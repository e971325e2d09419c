import { expect } from 'chai'
import net from 'node:net'
import { ADMIN, heard, TestGate, until } from '../support/gate.ts'
import { EventReader } from '../support/events.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const CONSECUTIVE = 200

describe('GET /events', () => {
  let gate: TestGate
  let key: string
  const readers: EventReader[] = []
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(async () => {
    await gate.stop()
    await gate.upstream.stop().catch(() => {})
  })
  afterEach(async () => {
    await Promise.all(readers.splice(0).map((reader) => reader.close()))
  })

  async function open(
    options: { query?: string; lastEventId?: number; as?: string } = {},
  ): Promise<EventReader> {
    const { as = ADMIN, ...rest } = options
    const reader = await EventReader.open(gate.gate.url, as, rest)
    readers.push(reader)
    return reader
  }

  // The record's own: a checkpoint may be of before, and what it leaves out would come again.
  const head = async () => Number((await gate.call('GET', '/state')).body.audit.size)
  const reaches = (reader: EventReader, id: number) =>
    until(`event ${id} comes`, () => (reader.events.at(-1)?.id ?? 0) >= id)

  it('begins with retry, then gives what happens, in order, each with its id', async () => {
    const reader = await open()
    expect(reader.text.startsWith('retry: 2000\n\n')).to.equal(true)
    const { body } = await gate.act(key, UPDATE)
    await until('both entries come', () => reader.events.length >= 2)
    const [decision, outcome] = reader.events
    expect([decision?.type, outcome?.type]).to.deep.equal(['decision', 'outcome'])
    expect(outcome?.id).to.equal((decision?.id ?? 0) + 1)
    expect(decision?.data).to.include({ action_id: body.action_id, effect: 'allow' })
    expect(decision?.data.seq).to.equal(decision?.id)
  })

  it('answers as an event stream that nobody stores, and HEAD without one', async () => {
    const response = await fetch(`${gate.gate.url}/events`, {
      method: 'HEAD',
      headers: { 'x-api-key': ADMIN },
    })
    expect(response.headers.get('content-type')).to.equal('text/event-stream')
    expect(response.headers.get('cache-control')).to.equal('no-store')
    expect(await response.text()).to.equal('')
  })

  it('gives what is asked for of tools and effects, and no names where a browser wants none', async () => {
    const held = await open({ query: '?effect=require_approval' })
    const deleted = await open({ query: '?tool=items.delete&types=decision' })
    const unnamed = await open({ query: '?unnamed=true' })
    await gate.act(key, UPDATE)
    const { body } = await gate.act(key, { tool: 'items.delete', args: { id: 'of-filters' } })
    await until('it comes to all', () =>
      [held, deleted, unnamed].every(({ text }) => text.includes(body.action_id)),
    )
    expect(held.events.map(({ data }) => data['effect'])).to.deep.equal(
      held.events.map(() => 'require_approval'),
    )
    expect(deleted.events.map(({ type }) => type)).to.deep.equal(['decision'])
    expect(unnamed.text).to.not.match(/^event:/m)
    expect(unnamed.text).to.match(/^id: \d+\ndata: \{/m)
    expect((await gate.call('GET', '/events?effect=maybe')).status).to.equal(400)
  })

  it('has no gap under load, for readers that come and go', async () => {
    const first = await head()
    const steady = await open({ lastEventId: first })
    const load = new AbortController()
    const loaded = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (!load.signal.aborted) await gate.act(key, UPDATE)
      }),
    )
    const seen: number[] = []
    let last = first
    while (seen.length < CONSECUTIVE) {
      const reader = await open({ lastEventId: last })
      await until('something new comes', () => reader.events.length > 0)
      await reader.close()
      seen.push(...reader.ids)
      last = reader.ids.at(-1) ?? last
    }
    load.abort()
    await loaded
    const end = await head()
    const rest = await open({ lastEventId: last })
    await reaches(rest, end)
    await reaches(steady, end)
    const expected = Array.from({ length: end - first }, (_, n) => first + 1 + n)
    expect([...seen, ...rest.ids].slice(0, expected.length)).to.deep.equal(expected)
    expect(steady.ids.slice(0, expected.length)).to.deep.equal(expected)
  })

  it('resumes without loss when the gate was restarted in between', async () => {
    const reader = await open()
    await gate.act(key, UPDATE)
    await until('both entries come', () => reader.events.length >= 2)
    const last = reader.ids.at(-1) ?? 0
    const { dataDir, policyDir, upstream } = gate
    await gate.act(key, UPDATE)
    await gate.stop()
    await until('the stream ends with the gate', () => reader.ended)
    await upstream.restart(0).catch(() => {})
    gate = await TestGate.start({ dataDir, policyDir, upstream })
    await gate.act(key, UPDATE)
    const resumed = await open({ lastEventId: last })
    const end = await head()
    await reaches(resumed, end)
    const ids = resumed.ids.slice(0, end - last)
    expect(ids).to.deep.equal(Array.from({ length: end - last }, (_, n) => last + 1 + n))
    const kinds = new Set(resumed.events.map(({ type }) => type))
    expect([...kinds]).to.include.members(['decision', 'outcome', 'policy.reloaded'])
  })

  it('takes the last id as a parameter too, for browsers', async () => {
    const end = await head()
    const reader = await open({ query: `?last_event_id=${end - 1}` })
    await reaches(reader, end)
    expect(reader.ids[0]).to.equal(end)
  })

  it('400 for a Last-Event-ID that this stream never gave', async () => {
    const ahead = (await head()) + 1_000
    for (const id of ['abc', '-1', '1.5', '99999999999999999', `${ahead}`, '0x1']) {
      const headers = { 'last-event-id': id }
      const { status, body } = await gate.call('GET', '/events', { headers })
      expect([status, body.error?.code], id).to.deep.equal([400, 'invalid_request'])
    }
    expect((await gate.call('GET', '/events?since=1')).status).to.equal(400)
    expect((await gate.call('GET', '/events', { key: null })).status).to.equal(401)
  })

  it('filters by types, also by their first word, and by agent', async () => {
    const other = await gate.agent('worker-2')
    const start = await head()
    await gate.act(key, UPDATE)
    await gate.act(other, UPDATE)
    await gate.act(key, { tool: 'items.delete', args: { id: 'i-1' } })
    const end = await head()
    const read = async (query: string) => {
      const reader = await open({ query, lastEventId: start })
      await gate.call('POST', '/api/v1/agents', { body: { name: `marker-${query}` } })
      return reader
    }
    const approvals = await read('?types=approval')
    await until('it comes', () => approvals.events.length > 0)
    expect(approvals.events.map(({ type }) => type)).to.deep.equal(['approval.requested'])
    const two = await read('?types=outcome,agent.created')
    await until('the marker comes', () => two.events.at(-1)?.type === 'agent.created')
    expect(two.events.map(({ type }) => type).filter((type) => type === 'outcome')).to.have.length(
      2,
    )
    const byAgent = await read('?agent=worker-2')
    await until('both come', () => byAgent.events.length === 2)
    expect(byAgent.events.map(({ type }) => type)).to.deep.equal(['decision', 'outcome'])
    expect(byAgent.events.map(({ data }) => data.agent_name)).to.deep.equal([
      'worker-2',
      'worker-2',
    ])
    expect(end).to.be.greaterThan(start)
  })

  it('say in each entry about an agent how it was called then', async () => {
    const start = await head()
    const mine = await gate.agent('first-name')
    const { body } = await gate.call('GET', '/api/v1/agents/name/first-name')
    const agent = `/api/v1/agents/${body.agent.id}`
    const scenario = { actions: [{ tool: 'items.list' }] }
    await heard(() => gate.call('POST', `${agent}/sandbox/run`, { body: { scenario } }))
    await gate.act(mine, { tool: 'items.delete', args: { id: 'i-1' } })
    await gate.call('PATCH', agent, { body: { name: 'second-name' } })
    await gate.call('POST', `${agent}/keys/rotate`, { body: {} })
    await gate.call('DELETE', agent)
    const reader = await open({ query: `?agent=${body.agent.id}`, lastEventId: start })
    await until('it comes', () => reader.events.some(({ type }) => type === 'agent.deleted'))
    const said = reader.events.map(({ type, data }) => `${type} ${data.agent_name}`)
    expect(said).to.include.members([
      'agent.created first-name',
      'sandbox.queued first-name',
      'key.rotated second-name',
      'decision first-name',
      'approval.requested first-name',
      'approval.cancelled second-name',
      'agent.deleted second-name',
    ])
    expect(said.filter((one) => one.endsWith('undefined'))).to.deep.equal([])
  })

  it('filters by the id or the name of an agent, one that was deleted too; 404 for one that never was', async () => {
    await gate.agent('leaving')
    const { body } = await gate.call('GET', '/api/v1/agents/name/leaving')
    const { id } = body.agent
    const start = (await head()) - 1
    await gate.call('DELETE', `/api/v1/agents/${id}`)
    for (const agent of [id, 'leaving']) {
      const reader = await open({ query: `?agent=${agent}`, lastEventId: start })
      await until('it comes', () => reader.events.some(({ type }) => type === 'agent.deleted'))
      expect([...new Set(reader.events.map(({ data }) => data.agent_id))], agent).to.deep.equal([
        id,
      ])
    }
    const { status, body: refused } = await gate.call('GET', '/events?agent=nobody-ever')
    expect([status, refused.error?.code]).to.deep.equal([404, 'not_found'])
    const streams = await gate.call('HEAD', '/events?agent=nobody-ever')
    expect(streams.status).to.equal(404)
  })

  it('shows an agent its own events only, whatever it asks for', async () => {
    const mine = await gate.agent('worker-3')
    const start = await head()
    const own = await open({ as: mine, lastEventId: start })
    const nosy = await open({ as: mine, lastEventId: start, query: '?agent=worker-1' })
    await gate.act(key, UPDATE)
    const { body } = await gate.act(mine, UPDATE)
    for (const reader of [own, nosy]) {
      await until('its own events come', () => reader.events.length >= 2)
      expect(reader.events.map(({ data }) => data.action_id)).to.deep.equal([
        body.action_id,
        body.action_id,
      ])
    }
  })

  it('drops a reader that stops reading, counts it once, and nobody else loses anything', async () => {
    const metric = async (name: string) => {
      const { text } = await gate.call('GET', '/metrics', { key: null })
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
    }
    const start = await head()
    const healthy = await open({ lastEventId: start })
    const clients = await metric('portcullis_sse_clients')
    const slow = net.connect(Number(new URL(gate.gate.url).port), '127.0.0.1')
    slow.on('error', () => {})
    slow.pause()
    slow.write(`GET /events HTTP/1.1\r\nHost: x\r\nX-API-Key: ${ADMIN}\r\n\r\n`)
    await until('it reads', async () => (await metric('portcullis_sse_clients')) === clients + 1)
    const large = {
      tool: 'items.update',
      args: { id: 'i', note: 'x'.repeat(16_000) },
      dry_run: true,
    }
    await until('it is dropped', async () => {
      await Promise.all(Array.from({ length: 64 }, () => gate.act(key, large)))
      return (await metric('portcullis_sse_dropped_total')) > 0
    })
    const end = await head()
    await reaches(healthy, end)
    expect(await metric('portcullis_sse_dropped_total')).to.equal(1)
    expect(await metric('portcullis_sse_clients')).to.equal(clients)
    const ids = healthy.ids.slice(0, end - start)
    expect(ids).to.deep.equal(Array.from({ length: end - start }, (_, n) => start + 1 + n))
    slow.destroy()
  })

  it('counts readers, and forgets those that went away', async () => {
    const count = async () =>
      /^portcullis_sse_clients (\d+)$/m.exec(
        (await gate.call('GET', '/metrics', { key: null })).text,
      )?.[1]
    const reader = await open()
    expect(await count()).to.equal('1')
    await reader.close()
    await until('it is forgotten', async () => (await count()) === '0')
  })
})
