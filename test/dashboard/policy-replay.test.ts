import type { Page } from 'playwright-core'
import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { until } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'

const HIDDEN = EVIL.replace(/\p{Cc}/gu, '')
const REGO = `package agent

deny contains "${HIDDEN.replaceAll('"', '\\"')}" if input.action.properties.args.note == "late"
`

inChromium('the dashboard: a policy by what was and what comes', () => {
  let ui: TestDashboard
  let page: Page
  let agent: string
  const act = async (note: string) => {
    const args = { id: 'i-1', note }
    const { status, text } = await ui.gate.act(agent, { tool: 'items.update', args })
    expect(status, text).to.equal(200)
  }
  before(async () => {
    ui = await TestDashboard.start()
    ;({ page } = ui)
    agent = await ui.gate.agent('worker-1')
    await act('late')
    await act('early')
    await ui.signIn(await ui.gate.key('admin', 'anna'), '/policies?view=edit')
    await page.getByRole('button', { name: 'Add a file …' }).click()
    await page.getByLabel('Path').fill('agent.rego')
    await page.getByRole('button', { name: 'Add it' }).click()
    await page.getByRole('textbox', { name: 'Text of agent.rego' }).press('Control+End')
    await page.keyboard.insertText(REGO)
    await page.getByText('1 file differs').waitFor()
  })
  after(() => ui.stop())

  it('replays what is on record under the draft, and says what differs, by rule', async () => {
    await page.getByRole('link', { name: 'Replay' }).click()
    await page.getByRole('button', { name: 'Replay under my draft …' }).click()
    await page.getByLabel('Since').selectOption('the last hour')
    await page.getByLabel('Tool; any').fill('items.update')
    await ui.assertAccessible('what to replay')
    await page.getByRole('button', { name: 'Replay', exact: true }).click()
    await page.getByRole('heading', { name: 'What made the difference' }).waitFor({ timeout: 0 })
    await page.getByText('the same, of 2').waitFor()
    await page.getByText('agent.rego:3').first().waitFor()
    await ui.assertShownAsText()
    await page.getByText(/items\.update by worker-1/).click()
    await ui.assertAccessible('a replay')
    await page.getByRole('link', { name: "The action's story" }).click()
    await page.getByRole('heading', { name: 'Guards that looked' }).waitFor()
    await page.goBack()
    await page.reload()
    await page.getByText('the same, of 2').waitFor()
    await page.getByRole('link', { name: 'All replays' }).click()
    await page.getByRole('link', { name: /^finished of a draft/ }).waitFor()
  })

  it('compares the draft with the live policy while agents act', async () => {
    await page.getByRole('link', { name: 'Canary' }).click()
    await page.getByRole('button', { name: 'Try my draft …' }).click()
    await page.getByLabel('Note: why').fill(HIDDEN)
    await ui.assertAccessible('a trial to begin')
    await page.getByRole('button', { name: 'Begin' }).click()
    await page.getByText('running').waitFor()
    await ui.assertShownAsText()
    await act('late')
    await page.getByRole('row', { name: /allow → deny 1/ }).waitFor()
    await ui.assertAccessible('a trial')
    expect(await page.getByRole('button', { name: 'Try my draft …' }).isDisabled()).to.equal(true)
  })

  it('lets the draft decide, where that is chosen, and says so', async () => {
    await page.getByRole('button', { name: 'Abort …' }).click()
    await page.getByLabel('Reason').fill('it only compares')
    await page.getByRole('button', { name: 'Abort it' }).click()
    await page.getByText('aborted', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Try my draft …' }).click()
    await page.getByLabel('Who decides').selectOption('my draft')
    await page.getByText('The draft decides for these agents').waitFor()
    await ui.assertAccessible('a trial that decides')
    await page.getByRole('button', { name: 'Begin' }).click()
    await page.getByText(/enforce, 100 % of all agents/).waitFor()
    const late = { tool: 'items.update', args: { id: 'i-1', note: 'late' } }
    await until('the draft decides', async () => (await ui.gate.act(agent, late)).status === 403)
  })

  it('ends it with a reason', async () => {
    await page.getByRole('button', { name: 'Abort …' }).click()
    await page.getByLabel('Reason').fill('seen enough')
    await page.getByRole('button', { name: 'Abort it' }).click()
    await page.getByText('seen enough').waitFor()
    await page.getByText('aborted', { exact: true }).waitFor()
  })

  it('publishes what is on trial', async () => {
    await page.getByRole('button', { name: 'Try my draft …' }).click()
    await page.getByRole('button', { name: 'Begin' }).click()
    await page.getByRole('button', { name: 'Promote …' }).click()
    await page.getByRole('button', { name: 'Promote it' }).click()
    await page.getByText(/^Published as/).waitFor()
    const { body } = await ui.gate.call('GET', '/policy/files?path=agent.rego')
    expect(body.files[0].content).to.equal(REGO)
    expect(
      (await ui.gate.call('GET', '/policy/files?path=gate.yaml')).body.files[0].content,
    ).to.equal(GATE)
  })

  it('shows an observer what came of it, and the roles that do more', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/policies?view=canary')
    await page.getByText('Beginning a trial needs the role admin.').waitFor()
    await page.getByText('promoted', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'Replay' }).click()
    await page.getByText('This needs the role operator.').waitFor()
    expect(ui.said).to.deep.equal([])
  })
})
