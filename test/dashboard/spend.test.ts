import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { heard } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'

const POLICY = `${GATE}budgets:
  - { id: everybody, limit: '10.00', period: month, scope: global }
`

inChromium('the dashboard: spend', () => {
  let ui: TestDashboard
  let agent: string
  let id: string
  before(async () => {
    ui = await TestDashboard.start({ policies: { 'gate.yaml': POLICY } })
    const body = { name: 'worker-1', roles: ['worker'], owner: 'tests', monthly_budget: '4.00' }
    const made = await heard(() => ui.gate.call('POST', '/api/v1/agents', { body }))
    ;[agent, id] = [made.body.api_key, made.body.agent.id]
  })
  after(() => ui.stop())

  const act = (tool: string, cost: string) =>
    ui.gate.act(agent, { tool, args: { id: 'i-1' }, cost })
  const cells = async () =>
    (await ui.page.getByRole('row', { name: /worker-1/ }).innerText()).split(/\s+/).join(' ')

  it('says that nothing was spent, where that is so', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/spend')
    await ui.page.getByText('Nothing was spent.').waitFor()
    await ui.page.getByText('No budget of the policy was taken from').waitFor()
    await ui.assertAccessible('no spend')
  })

  it('shows what is spent, reserved and left, of each agent and of each budget, as it changes', async () => {
    expect((await act('items.update', '3.25')).status).to.equal(200)
    await ui.page.getByText('3.25 spent, 0.00 reserved, 6.75 left of 10.00').waitFor()
    await ui.page.getByRole('row', { name: /worker-1/ }).waitFor()
    expect(await cells()).to.match(/^worker-1 3\.25 0\.00 4\.00 81 % near its end$/)
    await ui.assertAccessible('spend')
  })

  it("leads to one agent's month and back, and keeps the view", async () => {
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('j')
    await ui.page.keyboard.press('Enter')
    await ui.page.getByRole('heading', { name: 'worker-1' }).waitFor()
    await ui.page.reload()
    await ui.page.getByText('0.75', { exact: true }).waitFor()
    await ui.assertAccessible("one agent's spend")
    await ui.page.goBack()
    await ui.page.getByLabel('Month').selectOption({ index: 2 })
    await ui.page.getByText('Nothing was spent.').waitFor()
    await ui.page.reload()
    await ui.page.getByText('Nothing was spent.').waitFor()
    await ui.page.goBack()
    await ui.page.getByRole('row', { name: /worker-1/ }).waitFor()
  })

  it('shows what others wrote as text', async () => {
    const report = { agent: id, action_type: EVIL.replace('\u0007', ''), cost: '0.10' }
    const reported = await ui.gate.call('POST', '/api/v1/actions', { body: report })
    expect(reported.status).to.equal(201)
    await ui.page.reload()
    await ui.assertShownAsText()
  })

  it('says what is wrong of an agent that never was', async () => {
    await ui.goto('/spend?agent=agt_none')
    await ui.page.getByText('not_found').waitFor()
    ui.said.length = 0 // a browser prints that it was answered 404
    await ui.page.getByRole('link', { name: 'All agents' }).click()
    await ui.page.getByRole('row', { name: /worker-1/ }).waitFor()
    expect(ui.said).to.deep.equal([])
  })
})
