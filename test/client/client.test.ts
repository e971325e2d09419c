import { expect } from 'chai'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { GateError, type Held, Portcullis } from '../../src/client/index.ts'
import { ADMIN, TestGate } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

describe('the client', function () {
  this.timeout(600_000)
  let gate: TestGate
  let agent: Portcullis
  let admin: Portcullis
  before(async () => {
    gate = await TestGate.start()
    agent = new Portcullis({ url: gate.gate.url, key: await gate.agent('worker-1') })
    admin = new Portcullis({ url: gate.gate.url, key: ADMIN })
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (_, res) => reply(res, 200, { done: true })
  })

  const failure = async (work: Promise<unknown>): Promise<GateError> => {
    const error = await work.then(
      () => undefined,
      (one: unknown) => one,
    )
    expect(error).to.be.instanceOf(GateError)
    return error as GateError
  }

  it('acts, and answers what was performed or held', async () => {
    const done = await agent.act('items.update', { id: '1', note: 'x' })
    expect(done).to.deep.include({ decision: 'allow', status: 'succeeded' })
    expect(done.decision === 'allow' && done.result.body).to.deep.equal({ done: true })
    const held = await agent.act('items.delete', { id: '1' }, { reason: 'old' })
    expect(held.decision).to.equal('require_approval')
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('asks what would be decided without doing it', async () => {
    const checked = await agent.check('items.delete', { id: '2' })
    expect(checked).to.include({ dry_run: true, decision: 'require_approval' })
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('waits for what is held until a person decides', async () => {
    const held = (await agent.act('items.delete', { id: '3' })) as Held
    expect((await agent.wait(held, { timeoutMs: 0 })).status).to.equal('held')
    const waiting = agent.wait(held)
    await admin.call('POST /approvals/{id}/approve', { path: { id: held.approval.id } })
    const ended = await waiting
    expect([ended.status, ended.approval?.decided_by]).to.deep.equal(['succeeded', 'tester'])
  })

  it('guards a tool: a function that answers as the upstream does, after the approval it needs', async () => {
    expect(await agent.guard('items.get')({ id: '4' })).to.deep.equal({ done: true })
    const approve = async ({ approval }: Held) => {
      await admin.call('POST /approvals/{id}/approve', { path: { id: approval.id }, body: {} })
    }
    const remove = agent.guard<{ id: string }, { done: boolean }>('items.delete', {
      onHeld: approve,
    })
    expect((await remove({ id: '5' })).done).to.equal(true)
  })

  it('throws what the gate refused, with its code, its reasons and what to do', async () => {
    const error = await failure(agent.guard('items.nothing')({ id: '1' }))
    expect([error.status, error.retryable]).to.deep.equal([403, false])
    expect(error.message).to.include('items.nothing')
    const deny = async ({ approval }: Held) => {
      const reason = 'not today'
      await admin.call('POST /approvals/{id}/deny', { path: { id: approval.id }, body: { reason } })
    }
    const denied = await failure(agent.guard('items.delete', { onHeld: deny })({ id: '6' }))
    expect(denied.code).to.equal('action_denied')
    expect(denied.message).to.include('tester').and.include('not today')
    gate.upstream.behave = (_, res) => reply(res, 409, { error: 'taken' })
    const failed = await failure(agent.guard('items.update')({ id: '7', note: 'x' }))
    expect([failed.code, failed.message.includes('409')]).to.deep.equal(['action_failed', true])
    const late = await failure(agent.guard('items.delete', { timeoutMs: 0 })({ id: '8' }))
    expect(late.code).to.equal('action_held')
  })

  it('sends a write again under its first key when the answer was lost, and nothing that may not be', async () => {
    let lost = 0
    const flaky: typeof fetch = async (...request) => {
      const response = await fetch(...request)
      if (lost++ > 0) return response
      await response.text()
      throw new TypeError('fetch failed')
    }
    const { url } = gate.gate
    const key = await gate.agent('worker-2')
    const again = await new Portcullis({ url, key, fetch: flaky }).act('items.update', {
      id: '9',
      note: 'once',
    })
    expect(again).to.include({ status: 'succeeded' })
    expect([lost, gate.upstream.effects.length]).to.deep.equal([2, 1])
    gate.upstream.behave = (_effect, _res, socket) => void socket.destroy()
    const unknown = await failure(agent.act('items.update', { id: '10', note: 'x' }))
    expect(unknown.code).to.equal('outcome_unknown')
    expect(gate.upstream.effects).to.have.length(2)
  })

  it('waits as long as it is told to, and stops when it is told to', async () => {
    let asked = 0
    const server = http.createServer((_, res) => {
      const body = { code: 'rate_limited', message: 'too many', retryable: true }
      const isFirst = asked++ === 0
      res.writeHead(isFirst ? 429 : 200, { 'content-type': 'application/json', 'retry-after': '0' })
      res.end(JSON.stringify(isFirst ? { error: body } : { status: 'ok', version: '1' }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = new Portcullis({ url, key: 'x' })
    expect((await client.call('GET /healthz')).version).to.equal('1')
    expect(asked).to.equal(2)
    server.close()
    const stop = AbortSignal.abort(new Error('enough'))
    const ended = await client.call('GET /healthz', { signal: stop }).then(
      () => 'answered',
      (error: Error) => error.message,
    )
    expect(ended).to.equal('enough')
  })

  it('says that no gate answers, or that what answers is none', async () => {
    const server = http.createServer((_, res) => void res.writeHead(404).end('<html>'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = new Portcullis({ url, key: 'x' })
    expect((await failure(client.act('x'))).message).to.include('404 and is no gate')
    await new Promise((resolve) => server.close(resolve))
    const { code, message } = await failure(client.act('x'))
    expect([code, message]).to.deep.equal(['unreachable', `no gate answers at ${url}`])
  })

  it('knows each answer that the document knows: no type is left unknown', () => {
    const file = path.resolve(import.meta.dirname, '..', '..', 'src', 'client', 'api.ts')
    const text = fs.readFileSync(file, 'utf8')
    expect(text).to.not.match(/\b(?:unknown|any)\b(?=[;\n\]>])/)
    // Only what the document leaves open is open: an upstream's answer, metadata, what a switch covers, and what a rule
    // of a policy said, before and after a change, or to who asks for a document.
    const open = [...text.matchAll(/^ +(?:readonly )?(\w+)\??: Json$/gm)].map(([, name]) => name)
    const known = ['after', 'answer', 'before', 'body', 'covers', 'metadata', 'result']
    expect([...new Set(open)].sort()).to.deep.equal(known)
  })
})
