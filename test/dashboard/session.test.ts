import { expect } from 'chai'
import { WebSocket } from 'ws'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { ACTIVITY } from '../support/socket-reader.ts'

const OWN = { 'x-portcullis-csrf': '1', 'sec-fetch-site': 'same-origin' }

describe('signing in with a browser', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
  })
  after(() => gate.stop())

  const signIn = (key: string, headers: Record<string, string> = OWN) =>
    gate.call('POST', '/ui/session', { key: null, headers, body: { key } })
  const cookieOf = ({ headers }: { headers: Headers }) =>
    (headers.get('set-cookie') ?? '').split(';', 1)[0] ?? ''
  const as = (cookie: string, headers: Record<string, string> = {}) => ({
    key: null,
    headers: { cookie, ...headers },
  })

  it('gives a cookie that no script reads and no other site sends, and says who it is', async () => {
    const answer = await signIn(ADMIN)
    expect(answer.headers.get('set-cookie')).to.match(
      /^portcullis_session=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=43200$/,
    )
    const { body } = await gate.call('GET', '/ui/session', as(cookieOf(answer)))
    expect(body).to.include({ name: 'tester', role: 'admin' })
    const tls = await signIn(ADMIN, { ...OWN, origin: 'https://gate.example' })
    expect(tls.headers.get('set-cookie')).to.match(/^__Host-portcullis_session=.*; Secure$/)
  })

  it('refuses keys of agents and of enforcement points, and wrong ones, on record', async () => {
    const agent = await gate.agent('worker-1')
    expect((await signIn(agent)).status).to.equal(403)
    expect((await signIn(await gate.key('pep', 'point'))).status).to.equal(403)
    expect((await signIn('pk_wrong')).status).to.equal(401)
    const { body } = await gate.call('GET', '/audit/timeline?kind=session.refused')
    expect(body.entries).to.have.length(3)
    expect(JSON.stringify(body.entries)).to.not.include(agent)
  })

  it('begins anew at each sign-in: a cookie that was planted stays worthless', async () => {
    const planted = `portcullis_session=${'A'.repeat(43)}`
    const answer = await signIn(ADMIN, { ...OWN, cookie: planted })
    expect(cookieOf(answer)).to.not.equal(planted)
    expect((await gate.call('GET', '/ui/session', as(planted))).status).to.equal(401)
    const again = await signIn(ADMIN, { ...OWN, cookie: cookieOf(answer) })
    expect((await gate.call('GET', '/ui/session', as(cookieOf(answer)))).status).to.equal(401)
    expect((await gate.call('GET', '/ui/session', as(cookieOf(again)))).status).to.equal(200)
  })

  it('refuses writes that its own page did not make, and reads of other sites', async () => {
    const cookie = cookieOf(await signIn(ADMIN))
    const write = (headers: Record<string, string>) =>
      gate.call('POST', '/policy/reload', { ...as(cookie, headers), body: {} })
    const { host } = new URL(gate.gate.url)
    for (const headers of [
      {},
      { 'x-portcullis-csrf': '1' },
      { 'sec-fetch-site': 'same-origin' },
      { 'x-portcullis-csrf': '1', 'sec-fetch-site': 'same-site' },
      { 'x-portcullis-csrf': '1', origin: 'https://evil.example' },
      { 'x-portcullis-csrf': '1', origin: 'null' },
    ]) {
      expect([401, 403], JSON.stringify(headers)).to.include((await write(headers)).status)
    }
    expect((await write(OWN)).status).to.equal(200)
    expect((await write({ 'x-portcullis-csrf': '1', origin: `http://${host}` })).status).to.equal(
      200,
    )
    expect((await signIn(ADMIN, {})).status).to.equal(403)
    const foreign = as(cookie, { 'sec-fetch-site': 'cross-site' })
    expect((await gate.call('GET', '/state', foreign)).status).to.equal(401)
  })

  it('has the role of its key, and ends with it', async () => {
    const created = await gate.call('POST', '/api/v1/keys', {
      body: { role: 'observer', name: 'ada' },
    })
    const cookie = cookieOf(await signIn(created.body.key))
    expect((await gate.call('GET', '/state', as(cookie))).status).to.equal(200)
    const put = { ...as(cookie, OWN), body: { engaged: true, reason: 'x' } }
    expect((await gate.call('PUT', '/kill-switch', put)).status).to.equal(403)
    await gate.call('DELETE', `/api/v1/keys/${created.body.id}`)
    await until('it is over', async () => {
      return (await gate.call('GET', '/state', as(cookie))).status === 401
    })
  })

  it('signs out', async () => {
    const cookie = cookieOf(await signIn(ADMIN))
    const out = await gate.call('DELETE', '/ui/session', as(cookie, OWN))
    expect([out.status, out.headers.get('set-cookie')?.includes('Max-Age=0')]).to.deep.equal([
      204,
      true,
    ])
    expect((await gate.call('GET', '/state', as(cookie))).status).to.equal(401)
  })

  it('opens the stream for its own origin and for no other', async () => {
    const cookie = cookieOf(await signIn(ADMIN))
    const open = (origin?: string) =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(`${gate.gate.url.replace('http', 'ws')}${ACTIVITY}`, {
          headers: { cookie, ...(origin ? { origin } : {}) },
        })
        socket.on('unexpected-response', (_req, res) => resolve(res.statusCode ?? 0))
        socket.on('open', () => {
          socket.close()
          resolve(101)
        })
        socket.on('error', () => {})
      })
    expect(await open(gate.gate.url)).to.equal(101)
    expect(await open('https://evil.example')).to.equal(403)
    expect(await open()).to.equal(403)
  })

  it('leads a browser to its page, which lets itself be framed and fed by nobody', async () => {
    const root = await gate.call('GET', '/', { key: null, headers: { accept: 'text/html' } })
    expect([root.status, root.headers.get('location')]).to.deep.equal([303, '/ui/'])
    const links = await gate.call('GET', '/', { key: null })
    expect([links.status, links.body.links.dashboard]).to.deep.equal([200, '/ui/'])
    for (const place of Object.values(links.body.links)) {
      expect((await gate.call('GET', String(place), { key: null })).status).to.equal(200)
    }
    const page = await gate.call('GET', '/ui/approvals', { key: null })
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).to.include("default-src 'none'").and.to.include("frame-ancestors 'none'")
    expect(page.headers.get('x-frame-options')).to.equal('DENY')
    expect(page.text).to.include('csp-nonce').and.to.not.include('__NONCE__')
    expect((await gate.call('GET', '/ui/assets/none.js', { key: null })).status).to.equal(404)
  })

  it('is left out with DASHBOARD=off', async () => {
    const bare = await TestGate.start({ env: { DASHBOARD: 'off' } })
    expect((await bare.call('GET', '/ui/', { key: null })).status).to.equal(404)
    const root = await bare.call('GET', '/', { key: null, headers: { accept: 'text/html' } })
    expect([root.status, root.body.links.dashboard]).to.deep.equal([200, null])
    const answer = await fetch(`${bare.gate.url}/ui/session`, { method: 'POST', headers: OWN })
    expect(answer.status).to.equal(404)
    await bare.stop()
  })
})
