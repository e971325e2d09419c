import { expect } from 'chai'
import { inChromium, TestDashboard } from '../support/dashboard.ts'
import { heard, until } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

// Names may hold no control characters, and others that are not seen.
const HIDDEN_OWNER = '<img src=x onerror="window.hit=1">\u202etxt'

inChromium('the dashboard: one agent', () => {
  let ui: TestDashboard
  let key: string
  let id: string
  before(async () => {
    ui = await TestDashboard.start()
    ui.gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    const body = { name: 'worker-1', roles: ['worker'], owner: 'tests', monthly_budget: '4.00' }
    const made = await heard(() => ui.gate.call('POST', '/api/v1/agents', { body }))
    ;[key, id] = [made.body.api_key, made.body.agent.id]
    const update = { tool: 'items.update', args: { id: 'i-1', note: 'n' }, cost: '1.25' }
    await heard(() => ui.gate.act(key, update))
    await ui.signIn(await ui.gate.key('admin', 'ada'), '/agents')
  })
  after(() => ui.stop())
  const link = (name: string) => ui.page.getByRole('link', { name, exact: true })
  const button = (name: string) => ui.page.getByRole('button', { name, exact: true })
  const agentNow = async () => (await ui.gate.call('GET', `/api/v1/agents/${id}`)).body.agent

  it('is reached by keys alone, and its view is in the URL', async () => {
    await link('worker-1 active').waitFor()
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('j')
    await ui.page.keyboard.press('Enter')
    await ui.page.getByRole('heading', { name: 'Agent', exact: true }).waitFor()
    await link('1 allowed').waitFor()
    await ui.assertAccessible('agent')
    await link('Spend').last().click()
    await ui.page.getByText('2.75', { exact: true }).waitFor()
    await ui.assertAccessible("agent's spend")
    await ui.page.reload()
    await ui.page.getByText('2.75', { exact: true }).waitFor()
    await ui.page.goBack()
    await link('1 allowed').waitFor()
    expect(new URL(ui.page.url()).pathname).to.equal(`/ui/agents/${id}`)
  })

  it('says what it may do with each tool, each with the way to try it', async () => {
    await link('What it may').click()
    const row = ui.page.getByRole('row', { name: /items\.delete/ })
    await row.getByText('require approval').waitFor()
    await ui.assertAccessible('what an agent may')
    await row.getByRole('link').click()
    await ui.page.getByRole('heading', { name: 'Policies' }).waitFor()
    await ui.page.goBack()
    await row.waitFor()
  })

  it('has keys, of which another is made, shown once', async () => {
    await link('Keys').click()
    await ui.page.locator('.cards > li').filter({ hasText: 'worker-1' }).waitFor()
    await button('New key').click()
    await ui.page.getByLabel('Name, of whoever holds it').fill('second')
    await button('Create it').click()
    const made = await ui.page.getByRole('region', { name: 'The key', exact: true }).innerText()
    await button('I have stored it').click()
    await ui.page.locator('.cards > li').filter({ hasText: 'second' }).waitFor()
    await ui.assertAccessible("agent's keys")
    const { body } = await ui.gate.call('GET', '/whoami', { key: made })
    expect(body.agent.id).to.equal(id)
  })

  it('shows its sandbox runs, each with its steps', async () => {
    await link('Sandbox').click()
    await ui.page.getByText('It played nothing').waitFor()
    const actions = [{ tool: 'items.update', args: { id: 'i-1' } }]
    const body = { scenario: { name: 'a first run', actions } }
    await heard(() => ui.gate.call('POST', `/api/v1/agents/${id}/sandbox/run`, { body }))
    await ui.page.getByText('a first run').waitFor()
    await ui.page.getByRole('region', { name: '1 steps' }).waitFor()
    await ui.assertAccessible("agent's sandbox")
  })

  it('is changed, and what the gate refuses is said', async () => {
    await button('Change …').click()
    await ui.page.getByLabel('Monthly budget; nothing: no bound').fill('much')
    await button('Change it').click()
    await ui.page.getByText('invalid_request').waitFor()
    await ui.page.getByLabel('Monthly budget; nothing: no bound').fill('9.00')
    await ui.page.getByLabel('Owner').fill(HIDDEN_OWNER)
    await ui.page.getByLabel('Roles, with commas').fill('worker, reader')
    await button('Change it').click()
    await until('it is changed', async () => (await agentNow()).monthly_budget === '9.00')
    expect((await agentNow()).roles).to.deep.equal(['worker', 'reader'])
    ui.said.length = 0 // a browser prints that it was answered 400
    await link('Overview').last().click()
    await ui.assertShownAsText()
  })

  it('is paused and resumed there, and gone once its name is typed', async () => {
    await button('Pause').click()
    await ui.page.getByLabel('Reason').fill('too many')
    await button('Pause it').click()
    await ui.page.getByText('too many').waitFor()
    await button('Resume').click()
    await button('Resume it').click()
    await button('Pause').waitFor()
    await button('Delete …').click()
    await ui.assertAccessible('an agent to be deleted')
    expect(await button('Delete it').isDisabled()).to.equal(true)
    await ui.page.getByLabel(/^Type/).fill('worker-1')
    await button('Delete it').click()
    await ui.page.getByText('No agent matches.').waitFor()
    const { status } = await ui.gate.call('GET', '/whoami', { key })
    expect(status).to.equal(401)
    expect(ui.said).to.deep.equal([])
  })

  it('that never was is said to be none', async () => {
    await ui.goto('/agents/agt_none')
    await ui.page.getByText('not_found').waitFor()
  })
})
