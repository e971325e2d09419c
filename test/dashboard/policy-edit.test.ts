import { expect } from 'chai'
import type { Page } from 'playwright-core'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'

const REGO = `package agent

deny contains "none of that" if input.action.properties.args.note == "bad"
`
const TEST = `package agent

test_bad_notes_are_denied if {
	count(deny) > 0 with input as {"action": {"properties": {"args": {"note": "bad"}}}}
}
`
const FILES = { 'agent.rego': REGO, 'agent_test.rego': TEST, 'gate.yaml': GATE }
const HIDDEN = EVIL.replace(/\p{Cc}/gu, '')

inChromium('the dashboard: editing a policy', () => {
  let ui: TestDashboard
  let page: Page
  before(async () => {
    ui = await TestDashboard.start({ policies: FILES })
    ;({ page } = ui)
  })
  after(() => ui.stop())

  const text = () => page.getByRole('textbox', { name: /^Text of/ })
  const open = async (file: string) => {
    await page.getByRole('link', { name: file }).click()
    await page.getByRole('textbox', { name: `Text of ${file}` }).waitFor()
  }
  /** Types at the end of what is open. */
  const append = async (more: string) => {
    await text().press('Control+End')
    await page.keyboard.insertText(more)
  }

  it('opens a file, coloured and labelled, and Tab leaves it', async () => {
    await ui.signIn(await ui.gate.key('operator', 'otto'), '/policies?view=edit')
    await open('agent.rego')
    await page.locator('.tok-keyword', { hasText: 'package' }).waitFor()
    await ui.assertAccessible('the editor')
    await text().focus()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(`document.activeElement.closest('.cm-content')`)).to.equal(null)
  })

  it('checks what is typed by itself, marks it, lists it, and leads there by keys', async () => {
    await append('\nallow if inptu.x == 1\n')
    await page.getByRole('heading', { name: /finding/ }).waitFor()
    await page.locator('.cm-lintRange-error').first().waitFor()
    await ui.assertAccessible('findings in the editor')
    await open('gate.yaml')
    await append('guards:\n  - { id: none, kind: no_such_kind }\n')
    await page
      .getByText(/gate\.yaml:\d+:\d+/)
      .first()
      .waitFor()
    await text().press('Alt+ArrowDown')
    await page.getByRole('textbox', { name: 'Text of agent.rego' }).waitFor()
    await text().press('Alt+ArrowDown')
    await page
      .getByRole('button', { name: /^gate\.yaml:\d/ })
      .first()
      .click()
    await page.getByRole('textbox', { name: 'Text of gate.yaml' }).waitFor()
    const line = await page.locator('.cm-activeLine').innerText()
    expect(line).to.include('no_such_kind')
  })

  it('keeps the draft over a reload, and nothing of it decides', async () => {
    await page.reload()
    await page.getByText('2 files differ').waitFor()
    await page.getByText('unknown guard kind').waitFor()
    const { body } = await ui.gate.call('GET', '/policy/files?path=gate.yaml')
    expect(body.files[0].content).to.equal(GATE)
    await page.getByRole('button', { name: 'Discard …' }).click()
    await page.getByRole('button', { name: 'Discard it' }).click()
    await page.getByText('2 files differ').waitFor({ state: 'detached' })
    await page.getByText('no_such_kind').waitFor({ state: 'detached' })
  })

  it('drops a check that is under way when the draft is thrown away', async () => {
    await page.route('**/policy/check', () => undefined) // never answers
    await open('gate.yaml')
    await append('guards:\n  - { id: none, kind: no_such_kind }\n')
    await page.getByText('checking …').waitFor()
    const dropped = page.waitForEvent('requestfailed', (one) => one.url().endsWith('/policy/check'))
    await page.getByRole('button', { name: 'Discard …' }).click()
    await page.getByRole('button', { name: 'Discard it' }).click()
    await dropped
    await page.getByText('not checked').waitFor()
    await page.unroute('**/policy/check')
  })

  it('formats, and runs the tests of the draft by a key', async () => {
    await open('agent.rego')
    await append('deny   contains   "y"   if   input.x==1\n')
    await page.getByRole('button', { name: 'Format' }).click()
    await page.getByText('deny contains "y" if input.x == 1').waitFor()
    await text().press('Control+a')
    await page.keyboard.insertText('package agent\n\ndeny contains "x" if false\n')
    await text().press('Control+Enter')
    await page.getByText('1 failed').waitFor()
    await page.getByRole('button', { name: 'agent_test.rego:3', exact: true }).click()
    await page.getByRole('textbox', { name: 'Text of agent_test.rego' }).waitFor()
    await ui.assertAccessible('tests of a draft')
  })

  it('adds, renames, removes and restores files', async () => {
    await page.getByRole('button', { name: 'Add a file …' }).click()
    await page.getByLabel('Path').fill('../out.rego')
    await page.getByRole('button', { name: 'Add it' }).click()
    await page.getByText('without `..`').waitFor()
    await page.getByLabel('Path').fill('more.rego')
    await page.getByRole('button', { name: 'Add it' }).click()
    await page.getByRole('textbox', { name: 'Text of more.rego' }).waitFor()
    await append(`# ${HIDDEN}\npackage more\n`)
    await ui.assertShownAsText()
    await page.getByRole('button', { name: 'Rename …' }).click()
    await page.getByLabel('Path').fill('other.rego')
    await page.getByRole('button', { name: 'Rename it' }).click()
    await page.getByRole('textbox', { name: 'Text of other.rego' }).waitFor()
    await page.getByRole('link', { name: 'more.rego' }).waitFor({ state: 'detached' })
    await open('agent_test.rego')
    await page.getByRole('button', { name: 'Remove' }).click()
    await page.getByText('Removed in the draft.').waitFor()
    await ui.assertAccessible('a removed file')
    await page.getByRole('button', { name: 'Restore' }).click()
    await page.getByText('Removed in the draft.').waitFor({ state: 'detached' })
  })

  it('leaves the draft alone where another policy became live, until it is carried over', async () => {
    await open('gate.yaml')
    await append('# mine\n')
    writePolicies(ui.gate.policyDir, { ...FILES, 'tools.yaml': `${TOOLS}# theirs\n` })
    expect((await ui.gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    await page.getByText(/Meanwhile .* became the policy/).waitFor()
    await page.getByText('# mine').waitFor()
    await ui.assertAccessible('a draft that is behind')
    await page.getByRole('button', { name: 'Carry the draft over' }).click()
    await page.getByText(/Meanwhile/).waitFor({ state: 'detached' })
    await page.getByText('# mine').waitFor()
    await open('tools.yaml')
    await text().press('Control+End')
    await page.getByText('# theirs').waitFor()
  })

  it('says which files both sides changed, and lets nobody overlook it', async () => {
    writePolicies(ui.gate.policyDir, { 'gate.yaml': `${GATE}# theirs again\n` })
    expect((await ui.gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    await page.getByRole('button', { name: 'Carry the draft over' }).click()
    await page.getByText('These changed in the live policy as well.').waitFor()
    await ui.assertAccessible('a draft with conflicts')
    await page.reload()
    await page.getByRole('button', { name: 'I looked, mine stands' }).click()
    await page.getByText('These changed in the live policy as well.').waitFor({ state: 'detached' })
    await open('gate.yaml')
    await page.getByText('# mine').waitFor()
  })

  it('does not write over what another tab made of the draft, until somebody says which counts', async () => {
    const [other] = await Promise.all([
      page.waitForEvent('popup'),
      page.evaluate('void window.open(location.href)'),
    ])
    const theirs = other.getByRole('textbox', { name: 'Text of gate.yaml' })
    await theirs.press('Control+End')
    await other.keyboard.insertText('# other tab\n')
    await page.getByText('Another tab changed the draft.').waitFor()
    await append('# this tab\n')
    await other.reload()
    await other.getByText('# other tab').waitFor()
    await other.close()
    await page.getByRole('button', { name: 'Take it as it is there' }).click()
    await page.getByText('# other tab').waitFor()
    expect(await page.getByText('# this tab').count()).to.equal(0)
  })

  it('shows an observer the text, and takes none of it from them', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/policies?view=edit&file=gate.yaml')
    await page.getByText('Editing needs the role operator.').waitFor()
    await append('# observer\n')
    expect(await page.getByText('# observer').count()).to.equal(0)
    for (const name of [/^Check/, /^Run its tests/, 'Format', 'Add a file …', 'Remove']) {
      expect(await page.getByRole('button', { name }).isDisabled(), String(name)).to.equal(true)
    }
    await ui.assertAccessible('the editor of an observer')
    expect(ui.said.filter((one) => !one.includes('422'))).to.deep.equal([])
  })
})
