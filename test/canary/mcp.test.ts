import { expect } from 'chai'
import { abort, canaryOf, started } from '../support/canaries.ts'
import { heard, TestGate } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { TestUpstream } from '../support/upstream.ts'
import { pinsOf } from '../doors/mcp/pinned.ts'
import { McpServerFixture, SERVED, type ServedTool } from '../doors/mcp/servers.ts'
import { initialized } from '../doors/mcp/session.ts'

const STORE = 'mcp.crm.store'
/** `store` as the server lists it from some day on. */
const CHANGED: readonly ServedTool[] = SERVED.map((tool) =>
  tool.name === 'store' ? { ...tool, description: 'Stores one, in another way.' } : tool,
)

describe('MCP servers while a policy is on trial', function () {
  this.timeout(600_000)
  let server: McpServerFixture
  let other: McpServerFixture
  let upstream: TestUpstream
  let gate: TestGate
  let key: string
  let bystander: string
  const gateYaml = GATE.replace(
    'rate_limits:',
    `  - { roles: [worker], tools: ["mcp.crm.*"], effect: allow }\nrate_limits:`,
  )
  // Listed anew for each call, so that nothing here depends on when.
  const toolsYaml = (url: string, more = '') =>
    `${TOOLS.replace('tools:\n', `  crm: { mcp: { url: "${url}" }, timeout_ms: 30000${more} }\ntools:\n`)}
mcp: { tools: { 'crm:store': { effect: write } } }
`
  const files = (url: string, tools: readonly ServedTool[]) => ({
    'gate.yaml': gateYaml,
    'tools.yaml': toolsYaml(url),
    'mcp-pins.json': pinsOf('crm', tools),
  })
  before(async () => {
    server = await McpServerFixture.start('legacy')
    other = await McpServerFixture.start('legacy')
    upstream = await TestUpstream.start()
    gate = await TestGate.start({ upstream, policies: files(server.url, SERVED) })
    key = await gate.agent('worker-1')
    bystander = await gate.agent('worker-2')
  })
  after(async () => {
    await gate.stop()
    await upstream.stop()
    await server.stop()
    await other.stop()
  })
  afterEach(async () => {
    if ((await canaryOf(gate))?.status === 'running') await abort(gate)
  })
  const trial = { mode: 'enforce', agents: ['worker-1'] }
  const store = (who: string) => heard(() => gate.act(who, { tool: STORE, args: { id: 's' } }))
  const statusOf = async (who: string) => (await store(who)).status
  const listed = async (who: string) => {
    const session = await initialized(gate, who, '/mcp/crm')
    const { body, text } = await gate.call('POST', '/mcp/crm', {
      key: who,
      headers: { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' },
      body: { jsonrpc: '2.0', id: 2, method: 'tools/list' },
    })
    expect(body.result, text).not.to.equal(undefined)
    return body.result.tools.map(({ name }: ServedTool) => name)
  }

  it('lists and calls what the side of the agent has pinned, and not what the other one has', async () => {
    await started(gate, gateYaml, { ...trial, files: files(server.url, CHANGED) })
    // As the live policy has it pinned: not for the share of the one on trial.
    expect(await statusOf(bystander)).to.equal(200)
    const refused = await store(key)
    expect([refused.status, refused.body.error.code]).to.deep.equal([502, 'upstream_unreachable'])
    expect(
      [await listed(bystander), await listed(key)].map((names) => names.includes('store')),
    ).to.deep.equal([...[true, false]])
    await abort(gate)
    expect(await statusOf(key)).to.equal(200)
  })

  it('keeps the sessions of both where they say two things of one server', async () => {
    await started(gate, gateYaml, { ...trial, files: files(other.url, SERVED) })
    const begun = [server.sessionCount, other.sessionCount]
    const calls = [server.calls.length, other.calls.length]
    for (let n = 0; n < 3; n++) {
      expect(await statusOf(key)).to.equal(200)
      expect(await statusOf(bystander)).to.equal(200)
    }
    expect([server, other].map((one, at) => one.calls.length - (calls[at] ?? 0))).to.deep.equal([
      ...[3, 3],
    ])
    // One session that lists and one of the agent, at most, however often they take turns.
    expect(server.sessionCount - (begun[0] ?? 0)).to.be.at.most(2)
    expect(other.sessionCount - (begun[1] ?? 0)).to.be.at.most(2)
  })

  it('takes the credential of the one on trial out of what any server answers', async () => {
    const secret = 'the-secret-of-the-trial'
    const owned = await TestGate.start({
      upstream,
      policies: files(server.url, SERVED),
      env: { TRIAL_TOKEN: secret },
    })
    try {
      const who = await owned.agent('worker-1')
      const credential = `, credential: { header: Authorization, env: TRIAL_TOKEN, prefix: 'Bearer ' }`
      const own = { ...files(server.url, SERVED), 'tools.yaml': toolsYaml(server.url, credential) }
      await started(owned, gateYaml, { ...trial, files: own })
      upstream.behave = (_effect, res) => {
        res.writeHead(200, { 'content-type': 'application/json' })
        res.end(JSON.stringify({ echoed: secret }))
      }
      const answer = await owned.act(who, { tool: 'items.get', args: { id: 'i-1' } })
      expect(answer.status, answer.text).to.equal(200)
      expect(answer.text).not.to.include(secret)
    } finally {
      await owned.stop()
    }
  })
})
