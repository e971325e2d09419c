import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { TestGate, until } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'
import { GATE, PATIENCE, TOOLS } from '../support/policies.ts'

const SECRET = 'sk-test-Zq3x9y7w5'
const OTHER = 'credential-of-another-upstream'
const POLICIES = {
  'gate.yaml': GATE.replace('"items.list"', '"items.list", "basic.get"'),
  'tools.yaml': `${TOOLS.replace(
    PATIENCE,
    `${PATIENCE}
    credential: { header: Authorization, env: TEST_SECRET, prefix: 'Bearer ' }
  other:
    base_url: http://127.0.0.1:9
    credential: { header: X-Key, env: OTHER_SECRET }
  basic:
    base_url: \${TICKETING_API_URL}
    credential: { basic: { user_env: BASIC_USER, password_env: BASIC_PASSWORD } }`,
  )}
  basic.get: { upstream: basic, method: GET, path: /basic, effect: read, args: { type: object } }
`,
}

describe('an upstream that sends back credentials of the gate', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    const basic = { BASIC_USER: 'user-of-basic', BASIC_PASSWORD: 'password-of-basic' }
    const env = { TEST_SECRET: SECRET, OTHER_SECRET: OTHER, LOG_LEVEL: 'trace', ...basic }
    gate = await TestGate.start({ policies: POLICIES, env })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  it('shows them to nobody: not in answers, headers, the record or the log; an alert says so', async () => {
    const basic = Buffer.from(`user:${SECRET}`).toString('base64')
    gate.upstream.behave = ({ headers }, res) => {
      expect(headers.authorization, 'it does get it').to.equal(`Bearer ${SECRET}`)
      res.writeHead(200, { 'content-type': 'text/plain', 'x-seen': `${headers.authorization}` })
      // The credential crosses chunks.
      res.write(`you sent ${SECRET.slice(0, 7)}`)
      setImmediate(() => res.end(`${SECRET.slice(7)} and ${basic} and ${OTHER}`))
    }
    const acted = await gate.act(key, { tool: 'items.get', args: { id: 'i-1' } })
    const proxied = await gate.call('GET', '/proxy/test/items/i-1', { key })
    expect([acted.status, proxied.status]).to.deep.equal([200, 200])
    expect(proxied.text).to.match(
      /^you sent \[masked\] and [\w+/]+\[masked\][\w+/=]* and \[masked\]$/,
    )
    expect(proxied.headers.get('x-seen')).to.equal('Bearer [masked]')
    const alerts = () => gate.call('GET', '/api/v1/alerts?type=credential_echoed')
    await until('an alert says so', async () => (await alerts()).body.alerts.length > 0)
    const { body } = await alerts()
    expect(body.alerts, 'once, for all its answers').to.have.length(1)
    expect(body.alerts[0].details).to.deep.equal({ upstream: 'test' })
    const actions = await gate.call('GET', `/actions/${acted.body.action_id}`)
    const timeline = await gate.call('GET', '/audit/timeline?limit=500')
    const log = fs.readFileSync(path.join(gate.dataDir, 'app.log'), 'utf8')
    const all = [acted, proxied, actions, timeline].map(({ text }) => text).join() + log
    for (const secret of [SECRET, OTHER, basic.slice(8, -4)]) expect(all).to.not.include(secret)
    expect(all).to.include('[masked]')
  })

  it('nor what Basic makes of a name and a password, in base64 once more', async () => {
    let authorization = ''
    gate.upstream.behave = ({ headers }, res) => {
      authorization = String(headers.authorization)
      reply(res, 200, { seen: authorization, again: Buffer.from(authorization).toString('base64') })
    }
    const { body } = await gate.act(key, { tool: 'basic.get', args: {} })
    expect(authorization).to.match(/^Basic [\w+/]+=*$/)
    const again = Buffer.from(authorization).toString('base64')
    expect(body.result.body.seen).to.equal('Basic [masked]')
    expect(again.startsWith(body.result.body.again.split('[masked]')[0])).to.equal(true)
    expect(body.result.body.again).to.match(/^.{8}\[masked\].{0,4}$/)
  })

  it('raises no alert for another answer', async () => {
    gate.upstream.behave = (_effect, res) => void res.end('{"ok":true}')
    const { body } = await gate.act(key, { tool: 'items.get', args: { id: 'i-2' } })
    expect(body.result.body ?? body.result).to.not.equal(undefined)
    const alerts = await gate.call('GET', '/api/v1/alerts?type=credential_echoed')
    const ofTest = alerts.body.alerts.filter(
      (one: { details: { upstream: string } }) => one.details.upstream === 'test',
    )
    expect(ofTest).to.have.length(1)
  })
})
