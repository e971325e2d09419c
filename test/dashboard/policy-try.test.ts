import type { Page } from 'playwright-core'
import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { GATE } from '../support/policies.ts'

const HIDDEN = EVIL.replace(/\p{Cc}/gu, '')
const REGO = `package agent

deny contains "none of that" if input.action.properties.args.note == "bad"
`

inChromium('the dashboard: trying a policy', () => {
  let ui: TestDashboard
  let page: Page
  before(async () => {
    ui = await TestDashboard.start({ policies: { 'agent.rego': REGO } })
    ;({ page } = ui)
    await ui.gate.agent('worker-1')
    await ui.signIn(await ui.gate.key('operator', 'otto'), '/policies?view=try')
  })
  after(() => ui.stop())

  const of = (name: string) => page.getByRole('region', { name, exact: true })

  it("makes a form of the tool's args, and shows the decision with what looked", async () => {
    await page.getByLabel('Tool').fill('items.update')
    await page.getByLabel('id (required)').fill('i-1')
    await page.getByLabel('note', { exact: true }).fill('bad')
    await page.getByLabel('data, as JSON').fill(JSON.stringify({ text: HIDDEN }))
    await ui.assertAccessible('the form of a tool')
    await page.getByRole('button', { name: 'Ask the live policy' }).click()
    await of('By the live policy').getByText('none of that').first().waitFor()
    await of('By the live policy').getByText('deny', { exact: true }).first().waitFor()
    await ui.assertAccessible('a decision that was tried')
    expect(ui.gate.upstream.effects).to.deep.equal([])
  })

  it('says what is no JSON, and asks nobody', async () => {
    await page.getByLabel('data, as JSON').fill('{')
    await page.getByRole('button', { name: 'Ask the live policy' }).click()
    await page.getByText('data is no JSON').waitFor()
    await page.getByLabel('data, as JSON').fill('')
  })

  it('asks the draft beside the live policy', async () => {
    await page.getByRole('link', { name: 'Edit' }).click()
    await page.getByRole('link', { name: 'gate.yaml' }).click()
    const text = page.getByRole('textbox', { name: 'Text of gate.yaml' })
    await text.press('Control+a')
    await page.keyboard.insertText(GATE.replace('"items.update", ', ''))
    await page.getByText('1 file differs').waitFor()
    await page.getByRole('link', { name: 'Try' }).click()
    await page.getByLabel('Tool').fill('items.update')
    await page.getByRole('button', { name: 'Write JSON instead' }).click()
    await page.getByLabel('Args, as JSON').fill('{"id": "i-1", "note": "good"}')
    await page.getByRole('button', { name: 'Ask both policies' }).click()
    await of('By the live policy').getByText('allow', { exact: true }).first().waitFor()
    await of('By my draft').getByText('deny', { exact: true }).first().waitFor()
    await ui.assertAccessible('a draft that was tried')
  })

  it('marks what the draft changes of who may what, and leads from there to a trial', async () => {
    // A module may allow what nothing else does: with it every cell depends.
    await page.getByRole('link', { name: 'Edit' }).click()
    await page.getByRole('link', { name: 'agent.rego' }).click()
    await page.getByRole('button', { name: 'Remove' }).click()
    await page.getByText('2 files differ').waitFor()
    await page.getByRole('link', { name: 'Who may what' }).click()
    await page.getByRole('button', { name: 'Ask for every agent' }).click()
    await page.getByText(/^\d+ differ by the draft/).waitFor()
    expect(await page.locator('td.changed').count()).to.be.greaterThan(0)
    await ui.assertAccessible('a matrix with changes')
    await page
      .getByRole('link', { name: /^deny\s*was/ })
      .first()
      .click()
    await page.getByLabel('id (required)').waitFor()
    expect(await page.getByLabel('Tool').inputValue()).to.equal('items.update')
    await page.goBack()
    await page.getByLabel('Of these roles').fill('worker, nobody')
    await page.getByRole('button', { name: 'Ask for these roles' }).click()
    await page.getByRole('row', { name: /^nobody/ }).waitFor()
  })

  it('runs the tests of the draft, or of the live policy', async () => {
    await page.getByRole('link', { name: 'Tests' }).click()
    await page.getByRole('radio', { name: 'The live policy' }).check()
    await page.getByRole('button', { name: 'Run all tests' }).click()
    await page.getByText('There are no tests').waitFor()
    await page.reload()
    expect(await page.getByRole('radio', { name: 'The live policy' }).isChecked()).to.equal(true)
    await ui.assertAccessible('tests of either policy')
  })

  it('lets an observer try nothing, and says whom it lets', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/policies?view=try')
    await page.getByText('This needs the role operator.').waitFor()
    expect(ui.said).to.deep.equal([])
  })
})
