import { expect } from 'chai'
import { pinsOf } from '../doors/mcp/pinned.ts'
import { McpServerFixture, SERVED, type ServedTool } from '../doors/mcp/servers.ts'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { until } from '../support/gate.ts'
import { TOOLS } from '../support/policies.ts'

const [FIND, STORE, ERASE] = SERVED as readonly [ServedTool, ServedTool, ServedTool]

inChromium('the dashboard: MCP servers', () => {
  let ui: TestDashboard
  let server: McpServerFixture
  before(async () => {
    server = await McpServerFixture.start('modern')
    server.tools = [FIND, STORE]
    const yaml = TOOLS.replace('tools:\n', `  crm: { mcp: { url: "${server.url}" } }\ntools:\n`)
    ui = await TestDashboard.start({
      policies: {
        'tools.yaml': `${yaml}mcp: { tools: { 'crm:find': { effect: read } } }\n`,
        'mcp-pins.json': pinsOf('crm', [FIND, STORE, ERASE]),
      },
    })
  })
  after(async () => {
    await ui.stop()
    await server.stop()
  })
  const card = (text: string) => ui.page.locator('.cards > li').filter({ hasText: text })
  const ask = () => ui.page.getByRole('button', { name: 'Ask the servers now' }).click()

  it('shows what a server lists, and what somebody has seen of it', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/mcp')
    await ask()
    await card('mcp.crm.find').getByText('pinned', { exact: true }).waitFor()
    await card('mcp.crm.find').getByText('read', { exact: true }).waitFor()
    await card('mcp.crm.erase').getByText('not listed', { exact: true }).waitFor()
    await ui.page.getByText('2026-07-28').waitFor()
    await ui.assertAccessible('MCP servers as pinned')
  })

  it('shows a tool that changed beside its pin, and what a server wrote as text', async () => {
    server.tools = [{ ...FIND, description: EVIL }, STORE]
    await until('it was asked again', async () =>
      (await ui.gate.call('GET', '/mcp-servers?look=true')).text.includes('"changed"'),
    )
    await ask()
    await card('mcp.crm.find').getByText('changed', { exact: true }).waitFor()
    await ui.page.getByText('so that nobody can call it: 1 tool.').waitFor()
    await ui.assertShownAsText()
    await ui.page.getByText('as pinned, and as listed now').click()
    const pinned = ui.page.getByRole('region', { name: 'find as pinned' })
    await pinned.waitFor()
    expect(await pinned.innerText()).to.include('Finds one.')
    await ui.page.getByText('pinned by').waitFor()
    await ui.assertAccessible('MCP servers')
  })

  it('filters by state, and keeps the view', async () => {
    await ui.page.getByLabel('State').selectOption('changed')
    await card('mcp.crm.store').waitFor({ state: 'detached' })
    await ui.page.reload()
    await card('mcp.crm.find').waitFor()
    expect(await card('mcp.crm.store').count()).to.equal(0)
  })

  it('says what a client is to be given, for each client and server', async () => {
    const given = ui.page.getByRole('region', { name: 'What the client is given' })
    expect(await given.innerText()).to.include(`claude mcp add --transport http portcullis-tools`)
    await ui.page.getByRole('combobox', { name: 'Client', exact: true }).selectOption('vscode')
    await ui.page.getByRole('combobox', { name: 'Tools of', exact: true }).selectOption('crm')
    const { servers } = JSON.parse(await given.innerText())
    expect(servers['portcullis-crm'].url).to.equal(`${ui.gate.gate.url}/mcp/crm`)
    expect(ui.said).to.deep.equal([])
  })
})

inChromium('the dashboard: MCP servers, where there are none', () => {
  let ui: TestDashboard
  before(async () => {
    ui = await TestDashboard.start()
  })
  after(() => ui.stop())

  it('says how one is put behind the gate', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/mcp')
    await ui.page.getByText('No MCP server is behind the gate.').waitFor()
    await ui.assertAccessible('no MCP servers')
    expect(ui.said).to.deep.equal([])
  })
})
