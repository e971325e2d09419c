import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { reply } from '../support/upstream.ts'

inChromium('the dashboard: the overview', () => {
  let ui: TestDashboard
  let agent: string
  before(async () => {
    ui = await TestDashboard.start()
    agent = await ui.gate.agent('worker-1')
  })
  after(() => ui.stop())

  const tile = (what: string | RegExp) => ui.page.getByRole('link', { name: what })
  const update = () => ui.gate.act(agent, { tool: 'items.update', args: { id: 'i', note: 'n' } })

  it('is what one comes to, and says that nothing has to be done', async () => {
    await ui.signIn(await ui.gate.key('operator', 'ada'))
    await tile('0 wait for a person').waitFor()
    await tile('0 alerts are open').waitFor()
    await tile('0 kill switches are engaged').waitFor()
    await ui.page.getByText('Nothing was spent this month.').waitFor()
    await ui.page.getByRole('cell', { name: 'unknown' }).first().waitFor()
    await ui.assertAccessible('overview of a quiet gate')
  })

  it('shows what waits as it happens, each figure with the list it counts', async () => {
    await update()
    await ui.gate.act(agent, { tool: 'items.delete', args: { id: 'i-1' } })
    await ui.gate.act(agent, { tool: 'no.such', args: {} })
    await tile('1 wait for a person').waitFor()
    ui.gate.upstream.behave = (_effect, res) => void res.destroy()
    await update()
    ui.gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    await tile('1 alerts are open').waitFor()
    await tile('1 have an unknown outcome').click()
    await ui.page.getByText('1 match').waitFor()
    await ui.page.goBack()
    await tile('1 wait for a person').waitFor()
    await ui.page
      .getByText(/allow 2, require approval 1, deny 1/)
      .first()
      .waitFor()
    await ui.assertAccessible('overview of a busy gate')
  })

  it('shows what others wrote as text', async () => {
    const { body } = await ui.gate.call('GET', '/api/v1/agents/worker-1')
    const route = `/api/v1/agents/${body.agent.id}`
    const name = `evil ${EVIL.replace('\u0007', '')}`
    expect((await ui.gate.call('PATCH', route, { body: { name } })).status).to.equal(200)
    const pause = { action: 'pause', reason: EVIL }
    await ui.gate.call('POST', `${route}/action`, { body: pause })
    await tile('1 agents are paused').waitFor()
    await ui.assertShownAsText()
  })

  it('keeps its time in the URL, and opens what needs somebody by its number', async () => {
    await ui.page.getByLabel('Time').selectOption('1h')
    await ui.page.waitForURL(/t=1h$/)
    await ui.page.reload()
    await tile('1 wait for a person').waitFor()
    expect(await ui.page.getByLabel('Time').inputValue()).to.equal('1h')
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('2')
    await ui.page.getByText('1 open').waitFor()
    await ui.page.goBack()
    await tile('1 wait for a person').waitFor()
  })

  it('says what is wrong where a part of it cannot be read, and tries again', async () => {
    const broken = /\/stats\/series/
    const error = { code: 'store_unavailable', message: 'later' }
    await ui.page.route(broken, (route) => route.fulfill({ status: 503, json: { error } }))
    await ui.page.reload()
    await ui.page.getByText('store_unavailable').waitFor()
    await tile('1 wait for a person').waitFor()
    await ui.page.unroute(broken)
    await ui.page.getByRole('button', { name: 'Retry' }).click()
    await ui.page
      .getByText(/allow 2, require approval 1, deny 1/)
      .first()
      .waitFor()
    ui.said.length = 0 // a browser prints that it was answered 503
  })

  it('leaves out what an observer may not see, and says whom it is shown to', async () => {
    await ui.page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('observer', 'ola'))
    await ui.page.getByText('How upstreams do is shown to operators.').waitFor()
    expect(ui.said).to.deep.equal([])
  })
})
