import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { GATE, writePolicies } from '../support/policies.ts'

const REGO = `package agent

deny contains "none of that" if input.action.properties.args.note == "bad"
`
const TEST = `package agent

test_bad_notes_are_denied if {
	deny with input as {"action": {"properties": {"args": {"note": "bad"}}}}
}
`
const FILES = { 'agent.rego': REGO, 'agent_test.rego': TEST, 'gate.yaml': GATE }

inChromium('the dashboard: policies', () => {
  let ui: TestDashboard
  before(async () => {
    ui = await TestDashboard.start({ policies: FILES })
    await ui.gate.agent('worker-1')
  })
  after(() => ui.stop())

  const reload = async (files: Record<string, string>) => {
    writePolicies(ui.gate.policyDir, { ...FILES, ...files })
    return ui.gate.call('POST', '/policy/reload', { body: {} })
  }

  it('shows the files that decide, each as text, and keeps the view', async () => {
    await ui.signIn(await ui.gate.key('operator', 'otto'), '/policies')
    await ui.page.getByRole('link', { name: 'agent.rego' }).click()
    await ui.page.getByText('none of that').waitFor()
    await ui.page.reload()
    await ui.page.getByText('none of that').waitFor()
    await ui.assertAccessible('a file of the policy')
    await ui.page.goBack()
    await ui.page.getByText('none of that').waitFor({ state: 'detached' })
  })

  it('tells what does not load, with its place, while the policy before decides on', async () => {
    expect((await reload({ 'agent.rego': 'package agent\n\nallow if {\n' })).status).to.equal(422)
    await ui.page.getByText('What is written now does not load').waitFor()
    await ui.page
      .getByText(/agent\.rego:\d+:\d+/)
      .first()
      .waitFor()
    await ui.assertAccessible('a rejected policy')
    expect((await reload({})).status).to.equal(200)
  })

  it('shows what each publication changed, by meaning and by lines, and rolls back', async () => {
    const looser = GATE.replace('limit: 100000', 'limit: 90000')
    expect(
      (await reload({ 'gate.yaml': `${looser}# ${EVIL.replace(/\p{Cc}/gu, '')}\n` })).status,
    ).to.equal(200)
    await ui.page.getByRole('link', { name: 'History' }).click()
    await ui.page.getByRole('link', { name: 'What it changed' }).first().click()
    await ui.page.getByText('90000').first().waitFor()
    await ui.assertShownAsText()
    await ui.assertAccessible('a change')
    await ui.page.goBack()
    await ui.page.getByRole('button', { name: 'Roll back to 1' }).click()
    await ui.page.getByLabel('Reason').fill('a drill')
    await ui.page.keyboard.press('Enter')
    await ui.page.getByText('a drill').waitFor()
    await ui.assertAccessible('history')
    const { body } = await ui.gate.call('GET', '/policy/files?path=gate.yaml')
    expect(body.files[0].content).to.equal(GATE)
  })

  it('runs the tests of the policy and says how they ended', async () => {
    await ui.page.getByRole('link', { name: 'Tests' }).click()
    await ui.page.getByRole('button', { name: 'Run all tests' }).click()
    await ui.page.getByText('test_bad_notes_are_denied').waitFor()
    await ui.assertAccessible('tests')
  })

  it('shows who may what', async () => {
    await ui.page.getByRole('link', { name: 'Who may what' }).click()
    await ui.page.getByRole('button', { name: 'Ask for every agent' }).click()
    await ui.page.getByRole('row', { name: /worker-1/ }).waitFor()
    await ui.assertAccessible('the matrix')
  })

  it('lets an observer look and change nothing', async () => {
    await ui.page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/policies?view=history')
    await ui.page.getByText('Rolling back needs the role operator.').waitFor()
    expect(
      await ui.page.getByRole('button', { name: 'Roll back to 1' }).first().isDisabled(),
    ).to.equal(true)
    expect(ui.said).to.deep.equal([])
  })
})
