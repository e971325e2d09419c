import { expect } from 'chai'
import { inChromium, TestDashboard } from '../support/dashboard.ts'

inChromium('the dashboard: a gate that does not answer', () => {
  let ui: TestDashboard
  before(async () => {
    ui = await TestDashboard.start()
    await ui.gate.agent('worker-1')
    await ui.signIn(await ui.gate.key('admin', 'ada'), '/agents')
    await ui.page.getByRole('link', { name: /worker-1/ }).waitFor()
  })
  after(() => ui.stop())
  const button = (name: string) => ui.page.getByRole('button', { name, exact: true })

  it('is said on every page, with how old it is; nothing can be changed, and stopping is tried', async () => {
    await ui.page.context().setOffline(true)
    await ui.page.getByText(/^The gate does not answer\. It was heard last \d+ s ago/).waitFor()
    await ui.assertAccessible('away')
    await button('Pause').click()
    await ui.page.getByText('nothing can be changed now').waitFor()
    expect(await button('Pause it').isDisabled()).to.equal(true)
    await button('Cancel').click()
    await ui.page.getByRole('link', { name: 'Settings' }).click()
    await ui.page.getByText(/^The gate does not answer/).waitFor()
    await button('Stop everything').click()
    await button('Stop everything now').click()
    await ui.page.getByText('unreachable').first().waitFor()
    const { body } = await ui.gate.call('GET', '/kill-switch')
    expect(body.switches).to.deep.equal([])
  })

  it('is asked until it is there again, and then everything goes on where it was', async () => {
    await ui.page.context().setOffline(false)
    await ui.page.getByText(/^The gate does not answer/).waitFor({ state: 'detached' })
    await button('Stop everything now').click()
    await ui.page.getByText('Kill switches engaged: 1').waitFor()
  })

  it('leads back to where somebody was, once they have signed in again', async () => {
    await ui.goto('/agents?status=active')
    await ui.page.getByText('worker-1').waitFor()
    await ui.page.context().clearCookies()
    await ui.page.getByLabel('Owner').fill('nobody')
    await ui.page.getByLabel('Owner').press('Enter') // what is typed is asked for now
    await ui.page.getByLabel('API key').fill(await ui.gate.key('observer', 'ola'))
    await ui.page.getByRole('button', { name: 'Sign in' }).click()
    await ui.page.getByText('No agent matches.').waitFor()
    const { pathname, search } = new URL(ui.page.url())
    expect([pathname, search]).to.deep.equal(['/ui/agents', '?status=active&owner=nobody'])
  })
})
