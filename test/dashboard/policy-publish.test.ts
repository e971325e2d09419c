import { expect } from 'chai'
import type { Page } from 'playwright-core'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { GATE, writePolicies } from '../support/policies.ts'

const HIDDEN = EVIL.replace(/\p{Cc}/gu, '')
const LOOSER = GATE.replace('limit: 100000', 'limit: 90000')
const TWO_PEOPLE = `${GATE}publish: { approvals: { quorum: 1, roles: [admin, approver] } }\n`

/** A draft, as the editor keeps it: what is typed there has tests of its own. */
async function write(page: Page, file: string, more: string): Promise<void> {
  await page.getByRole('link', { name: 'Edit' }).click()
  await page.getByRole('link', { name: file }).click()
  const text = page.getByRole('textbox', { name: `Text of ${file}` })
  await text.press('Control+End')
  await page.keyboard.insertText(more)
  await page.getByText(/files? differs?/).waitFor()
  await page.getByRole('link', { name: 'Publish' }).click()
}

const liveText = async ({ gate }: TestDashboard, file = 'gate.yaml'): Promise<string> =>
  (await gate.call('GET', `/policy/files?path=${file}`)).body.files[0].content

inChromium('the dashboard: publishing a policy', () => {
  let ui: TestDashboard
  let page: Page
  before(async () => {
    ui = await TestDashboard.start()
    ;({ page } = ui)
    await ui.signIn(await ui.gate.key('admin', 'anna'), '/policies')
  })
  after(() => ui.stop())

  const publish = async (note: string) => {
    await page.getByRole('button', { name: 'Publish …' }).click()
    await page.getByLabel('Note: why').fill(note)
    await page.getByRole('button', { name: 'Publish it now' }).click()
  }

  it('shows what the draft changes of the live policy, with what is not seen spelt out', async () => {
    await write(page, 'gate.yaml', `# ${HIDDEN}\n`)
    await page.getByRole('textbox', { name: 'Difference of gate.yaml' }).waitFor()
    await ui.assertShownAsText()
    await ui.assertAccessible('the difference to live')
    await page.getByLabel('with all lines').check()
    await page.getByText('permissions:').waitFor()
  })

  it('rehearses, and publishes with a note', async () => {
    const before = await liveText(ui)
    await page.getByRole('button', { name: 'Rehearse' }).click()
    await page.getByText('It would be published as').waitFor()
    expect(await liveText(ui)).to.equal(before)
    await publish('because of a test')
    await page.getByText(/^Published as/).waitFor()
    expect(await liveText(ui)).to.equal(`${before}# ${HIDDEN}\n`)
    await page.getByText('There is no draft').waitFor()
    await page.getByRole('link', { name: 'History' }).click()
    await page.getByText('because of a test').waitFor()
  })

  it('says what does not load, with its place, and keeps the draft', async () => {
    await write(page, 'gate.yaml', 'nothing_of_that_name: 1\n')
    await publish('')
    const dialog = page.getByRole('dialog')
    await dialog.getByText(/^gate\.yaml:\d+:\d+/).waitFor()
    await ui.assertAccessible('a publish that does not load')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('1 file differs').waitFor()
    await page.getByRole('button', { name: 'Discard …' }).click()
    await page.getByRole('button', { name: 'Discard it' }).click()
  })

  it('explains that another policy became live meanwhile, and publishes nothing', async () => {
    await write(page, 'gate.yaml', '# behind\n')
    await page.getByRole('button', { name: 'Publish …' }).click()
    const theirs = { files: { 'gate.yaml': LOOSER }, note: 'theirs' }
    const { body } = await ui.gate.call('GET', '/policy/files')
    const kept = body.files.map(({ path, sha256 }: { path: string; sha256: string }) => [
      path,
      { sha256 },
    ])
    const put = await ui.gate.call('PUT', '/policy/files', {
      body: { ...theirs, files: { ...Object.fromEntries(kept), ...theirs.files } },
      headers: { 'if-match': `"${body.revision}"` },
    })
    expect(put.status, put.text).to.equal(200)
    await page.getByRole('button', { name: 'Publish it now' }).click()
    await page.getByText('Nothing was published and the draft is kept').waitFor()
    await ui.assertAccessible('a publish that is behind')
    expect(await liveText(ui)).to.equal(LOOSER)
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Carry the draft over' }).click()
    await page.getByText('These changed in the live policy as well.').waitFor()
    expect(await page.getByRole('button', { name: 'Publish …' }).isDisabled()).to.equal(true)
    await page.getByRole('button', { name: 'I looked, mine stands' }).click()
    await publish('mine stands')
    await page.getByText(/^Published as/).waitFor()
    expect(await liveText(ui)).to.include('# behind')
  })

  it('gives a patch where the policy cannot be written here', async () => {
    writePolicies(ui.gate.policyDir, { 'gate.yaml': TWO_PEOPLE }) // which files go around
    expect((await ui.gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    await page.getByRole('link', { name: 'Files' }).click()
    await page.reload() // so that the page is of what is live
    await write(page, 'gate.yaml', '# by hand\n')
    await publish('')
    await page.getByRole('dialog').getByRole('button', { name: 'Copy the patch' }).waitFor()
    await page.getByRole('region', { name: 'The patch' }).getByText('+# by hand').waitFor()
    await ui.assertAccessible('a patch')
    expect(await liveText(ui)).to.equal(TWO_PEOPLE)
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  })

  it('shows an operator what differs, and the role that publishes', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(await ui.gate.key('operator', 'otto'), '/policies?view=publish')
    await page.getByText('There is no draft').waitFor() // another one's is not theirs
    await write(page, 'gate.yaml', "# otto's\n")
    await page.getByText('Publishing needs the role admin.').waitFor()
    expect(await page.getByRole('button', { name: 'Publish …' }).isDisabled()).to.equal(true)
    expect(ui.said.filter((one) => !/4(?:09|12|22)/.test(one))).to.deep.equal([])
  })
})

inChromium('the dashboard: a policy that other people have to agree to', () => {
  let ui: TestDashboard
  let page: Page
  before(async () => {
    const env = { POLICY_SOURCE: 'database' }
    ui = await TestDashboard.start({ env, policies: { 'gate.yaml': TWO_PEOPLE } })
    ;({ page } = ui)
  })
  after(() => ui.stop())

  it('is held, shown to whoever votes, and published by the last vote', async () => {
    const approver = await ui.gate.key('approver', 'petra')
    await ui.signIn(await ui.gate.key('admin', 'anna'), '/policies')
    await write(page, 'gate.yaml', '# for two\n')
    await page.getByRole('button', { name: 'Publish …' }).click()
    await page.getByLabel('Note: why').fill(HIDDEN)
    await page.getByRole('button', { name: 'Publish it now' }).click()
    await page.getByText('Held, until 1 other people agree').waitFor()
    await page.getByRole('link', { name: 'what they see' }).click()
    await page.getByText('Whoever publishes does not vote.').waitFor()
    expect(await page.getByRole('button', { name: 'Approve' }).isDisabled()).to.equal(true)
    const here = new URL(page.url())
    await page.getByRole('button', { name: 'Sign out' }).click()
    await ui.signIn(approver, here.pathname.replace('/ui', '') + here.search)
    await page.getByText('+# for two').waitFor()
    await ui.assertShownAsText()
    await ui.assertAccessible('a publish that waits')
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('button', { name: 'Yes, approve' }).click()
    await page.getByText('published', { exact: true }).waitFor()
    expect(await liveText(ui)).to.include('# for two')
  })

  it('is refused with a reason, and stays what it was', async () => {
    const before = await liveText(ui)
    const { body } = await ui.gate.call('GET', '/policy')
    const files = { 'gate.yaml': `${before}# no\n`, 'tools.yaml': await liveText(ui, 'tools.yaml') }
    const held = await ui.gate.call('PUT', '/policy/files', {
      body: { files },
      headers: { 'if-match': `"${body.revision}"` },
    })
    expect(held.status, held.text).to.equal(202)
    await ui.goto('/policies?view=publish')
    await page.getByRole('link', { name: /^pending/ }).click()
    await page.getByRole('button', { name: 'Deny' }).click()
    await page.getByLabel('Reason').fill('not that')
    await page.getByRole('button', { name: 'Yes, deny' }).click()
    await page.getByText('not that').waitFor()
    expect(await liveText(ui)).to.equal(before)
    expect(ui.said).to.deep.equal([])
  })
})
