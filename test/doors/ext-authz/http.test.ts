import { expect } from 'chai'
import { TestGate } from '../../support/gate.ts'

describe('external authorization of Envoy over HTTP', function () {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('behind-envoy')
  })
  after(() => gate.stop())

  const check = async (
    method: string,
    path: string,
    options: { body?: unknown; key?: string | null; headers?: Record<string, string> } = {},
  ) => {
    const { body, key: as = key, headers = {} } = options
    const answer = await fetch(`${gate.gate.url}/ext-authz/test${path}`, {
      method,
      headers: {
        ...(as === null ? {} : { authorization: `Bearer ${as}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, code: codeOf(text) }
  }

  it('permits with 200 and nothing else, and calls nothing', async () => {
    const { status, text, headers } = await check('GET', '/items?status=open')
    expect([status, text]).to.deep.equal([200, ''])
    expect(headers.get('portcullis-decision')).to.match(/^dec_/)
    const updated = await check('PATCH', '/items/i-1', { body: { note: 'n' } })
    expect(updated.status).to.equal(200)
    expect(gate.upstream.effects).to.deep.equal([])
  })

  it('has Envoy take the key away before the upstream sees it', async () => {
    const removed = async (headers: Record<string, string>) =>
      (await check('GET', '/items', { key: null, headers })).headers.get(
        'x-envoy-auth-headers-to-remove',
      )
    expect(await removed({ authorization: `Bearer ${key}` })).to.equal('authorization')
    expect(await removed({ 'x-api-key': key })).to.equal('x-api-key')
  })

  it('judges a HEAD and a body of no length as what they are', async () => {
    const withoutArgs = await check('POST', '/people/p-1/mail')
    expect([withoutArgs.status, withoutArgs.code]).to.deep.equal([400, 'invalid_request'])
  })

  it('refuses what no rule permits, what a person must approve, and what no tool stands for', async () => {
    const other = await gate.agent('nobody-behind-envoy', ['nobody'])
    expect(await check('GET', '/items', { key: other })).to.include({
      status: 403,
      code: 'policy_denied',
    })
    expect(await check('DELETE', '/items/i-1')).to.include({
      status: 403,
      code: 'approval_required',
    })
    expect(await check('GET', '/no/such/path')).to.include({ status: 403, code: 'no_such_tool' })
  })

  it('refuses without a key, with a wrong one, and one that is no agent’s', async () => {
    expect((await check('GET', '/items', { key: null })).status).to.equal(401)
    expect((await check('GET', '/items', { key: 'wrong' })).status).to.equal(401)
    const observer = await gate.key('observer', 'looks-on')
    expect((await check('GET', '/items', { key: observer })).status).to.equal(403)
  })

  it('refuses a body that was cut short', async () => {
    const cut = await check('PATCH', '/items/i-1', {
      body: { note: 'n' },
      headers: { 'x-envoy-auth-partial-body': 'true' },
    })
    const said = { 'x-envoy-auth-partial-body': 'false, true' }
    const twice = await check('PATCH', '/items/i-1', { body: { note: 'n' }, headers: said })
    expect(twice.code).to.equal('policy_denied')
    expect(cut).to.include({ status: 403, code: 'policy_denied' })
    expect(cut.text).to.contain('body_truncated')
  })

  it('refuses a body that Envoy did not send along', async () => {
    const headers = { 'content-type': 'application/json' }
    const unseen = await check('PATCH', '/items/i-1', { headers })
    expect(unseen).to.include({ status: 403, code: 'policy_denied' })
    expect(unseen.text).to.contain('body_truncated')
    expect((await check('PATCH', '/items/i-1')).status).to.equal(200)
  })

  it('refuses what an upstream may take for another request than the one that was judged', async () => {
    const headers = { 'x-http-method-override': 'DELETE' }
    expect((await check('GET', '/items', { headers })).code).to.equal('invalid_request')
    expect((await check('GET', '/items?status=a;status=b')).code).to.equal('invalid_request')
  })

  it('refuses paths that could be read in two ways', async () => {
    for (const path of ['/items/..%2f..%2fadmin', '/items//i-1', '/items/%00']) {
      expect((await check('GET', path)).status, path).to.be.oneOf([400, 403])
    }
  })

  it('refuses under the kill switch', async () => {
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', { body: { engaged, scope: {}, reason: 'a test' } })
    await kill(true)
    expect(await check('GET', '/items')).to.include({ status: 403, code: 'kill_switch_engaged' })
    await kill(false)
    expect((await check('GET', '/items')).status).to.equal(200)
  })

  it('records the decision as one that somebody else enforces', async () => {
    await check('GET', '/items')
    const [entry] = (await gate.call('GET', '/audit/timeline?kind=decision&limit=1')).body.entries
    expect(entry).to.include({ surface: 'ext_authz', enforced_by: 'caller', tool: 'items.list' })
    expect(entry.dry_run).to.equal(false)
  })
})

function codeOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { code?: string } }).error?.code
  } catch {
    return undefined
  }
}
