import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { type TestGate, until } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const ASSETS = path.resolve(import.meta.dirname, '..', '..', 'dist', 'ui', 'assets')

const gzipped = (name: string): number => gzipSync(fs.readFileSync(path.join(ASSETS, name))).length
/** What the page names itself, before anybody asks for a part of it. */
const first = (): string[] =>
  [
    ...fs
      .readFileSync(path.join(ASSETS, '..', 'index.html'), 'utf8')
      .matchAll(/assets\/([^"]+\.(?:js|css))/g),
  ].map(([, name]) => name ?? '')

it('the dashboard: what is fetched later is at most 150 kB gzipped a part', () => {
  const isFirst = new Set(first())
  const later = fs
    .readdirSync(ASSETS)
    .filter((name) => /\.(?:js|css)$/.test(name) && !isFirst.has(name))
  expect(later.length).to.be.greaterThan(0)
  for (const name of later) expect(gzipped(name), name).to.be.below(150_000)
})

it('the dashboard: its first load is at most 60 kB gzipped', () => {
  expect(first().length).to.be.greaterThan(1)
  expect(first().reduce((all, name) => all + gzipped(name), 0)).to.be.below(60_000)
})

inChromium('the dashboard in Chromium', () => {
  let ui: TestDashboard
  let gate: TestGate
  let page: Page
  let agent: string
  let approver: string
  before(async () => {
    ui = await TestDashboard.start()
    ;({ gate, page } = ui)
    agent = await gate.agent('worker-1')
    approver = await gate.key('operator', 'ada')
  })
  after(() => ui.stop())
  const assertAccessible = (what: string) => ui.assertAccessible(what)

  it('signs in with a key, and comes to what was asked for', async () => {
    await ui.signIn(approver, '/approvals')
    await page.getByText('Nothing waits for a person.').waitFor()
    await assertAccessible('no approvals')
  })

  it('approves from the link of a notice in two taps, and shows what an agent wrote as text', async () => {
    const args = { id: 'i-1' }
    const held = await gate.act(agent, { tool: 'items.delete', args, reason: EVIL })
    const { url } = (await gate.call('GET', `/approvals/${held.body.approval.id}`)).body
    await page.goto(gate.gate.url + url)
    await page.getByText('DELETE', { exact: true }).waitFor()
    await page.getByText('U+0007').waitFor()
    await ui.assertShownAsText()
    await assertAccessible('an approval')
    await page.reload()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('button', { name: 'Yes, approve' }).click()
    await page.getByText(/This is approved already/).waitFor()
    await until('it ran', () => gate.upstream.effects.some(({ method }) => method === 'DELETE'))
  })

  it("tells one action's story, and goes back", async () => {
    await page.getByRole('link', { name: "The action's story" }).click()
    await page.getByText('approval.approved').waitFor()
    await assertAccessible('a story')
    await page.goBack()
    await page.getByText(/This is approved already/).waitFor()
  })

  it('lists actions by what the URL says, each with its story', async () => {
    const args = { id: 'i-2', note: EVIL }
    expect((await gate.act(agent, { tool: 'items.update', args })).status).to.equal(200)
    expect((await gate.act(agent, { tool: 'no.such', args: {} })).status).to.equal(403)
    await page.getByRole('link', { name: 'Actions' }).click()
    await page.getByText('3 match').waitFor()
    await assertAccessible('actions')
    await page.getByLabel('Status').selectOption('denied')
    await page.getByText('1 match').waitFor()
    await page.reload()
    await page.getByText('1 match').waitFor()
    expect(new URL(page.url()).search).to.equal('?status=denied')
    await page.getByRole('link', { name: /no\.such/ }).click()
    await page.getByRole('heading', { name: 'Guards that looked' }).waitFor()
    await page.goBack()
    await page.getByText('1 match').waitFor()
  })

  it('shows what the gate wants somebody to look at, and who did', async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 500, {})
    await gate.act(agent, { tool: 'items.update', args: { id: 'i-3', note: 'n' } })
    await page.getByRole('link', { name: 'Alerts' }).click()
    await page.getByRole('button', { name: 'Acknowledge' }).first().click()
    await page
      .getByText(/by ada/)
      .first()
      .waitFor()
    await assertAccessible('alerts')
  })

  it('says when an agent was seen last and what was decided for it today, with the entries', async () => {
    await page.getByRole('link', { name: 'Agents' }).click()
    await page.getByText('last seen').waitFor()
    const { agents } = (await gate.call('GET', '/api/v1/agents?activity=true')).body
    const { allow, deny, require_approval: held } = agents[0].activity.today
    expect([allow, deny, held]).not.to.include(0)
    await page.getByRole('link', { name: `${allow} allowed` }).waitFor()
    await page.getByRole('link', { name: `${held} held` }).waitFor()
    await page.getByRole('link', { name: `${deny} denied` }).click()
    await page.getByRole('heading', { name: 'Audit' }).waitFor()
    expect(new URL(page.url()).searchParams.get('decision')).to.equal('deny')
    await page.getByText('no.such').first().waitFor()
    await page.goBack()
  })

  it('makes an agent wait, and lets it act again', async () => {
    await page.getByRole('link', { name: 'Agents' }).click()
    await page.getByText('worker-1').waitFor()
    await assertAccessible('agents')
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByLabel('Reason').fill(EVIL)
    await page.getByRole('button', { name: 'Pause it' }).click()
    await page.getByText('U+202E').waitFor()
    const refused = await gate.act(agent, { tool: 'items.update', args: { id: 'i-4', note: 'n' } })
    expect(refused.body.error.code).to.equal('agent_paused')
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('button', { name: 'Resume it' }).click()
    await page.getByRole('button', { name: 'Pause' }).waitFor()
  })

  it('stops everything in two actions with the keyboard, and releases with the name typed', async () => {
    await page.getByRole('button', { name: 'Stop everything' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await assertAccessible('the dialog')
    await page.getByRole('button', { name: 'Stop everything now' }).press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect((await gate.call('GET', '/kill-switch')).body.engaged).to.equal(true)
    await page.getByText('Kill switches engaged: 1.').waitFor()
    await page.getByRole('link', { name: 'What is stopped' }).click()
    await page.getByRole('button', { name: 'Release' }).waitFor()
    await assertAccessible('the kill switch')
    await page.getByRole('button', { name: 'Release' }).click()
    await page.getByLabel('Reason').fill('over')
    await page.getByLabel(/^Type/).fill('everything')
    await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click()
    await page.getByText('No switch is engaged.').waitFor()
    await page.getByText('Kill switches engaged').waitFor({ state: 'detached' })
  })

  it('stops one agent or one tool, whichever it is, and nothing else', async () => {
    const other = await gate.agent('worker-2')
    const update = (key: string) =>
      gate.act(key, { tool: 'items.update', args: { id: 'i-5', note: 'n' } })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    await page.getByRole('link', { name: 'Agents' }).click()
    const card = page.locator('.cards > li').filter({ hasText: 'worker-2' })
    await card.getByRole('link', { name: 'Stop it …' }).click()
    await page.getByRole('button', { name: 'Stop it …' }).click()
    await page.getByRole('heading', { name: 'Stop agent worker-2?' }).waitFor()
    await assertAccessible('stopping one agent')
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByText('Kill switches engaged: 1').waitFor()
    await page.getByText('agent worker-2', { exact: true }).waitFor()
    expect((await update(other)).body.error.code).to.equal('kill_switch_engaged')
    expect((await update(agent)).status).to.equal(200)
    await page.getByLabel('Agent', { exact: true }).fill('')
    await page.getByLabel('Tool', { exact: true }).fill('items.upd')
    await page.getByRole('button', { name: 'Stop it …' }).click()
    await page.getByRole('button', { name: 'Stop it now' }).click()
    await page.getByText('no_such_scope').waitFor()
    ui.said.length = 0 // a browser prints that it was refused
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Release' }).click()
    await page.getByLabel('Reason').fill('over')
    await page.getByLabel('Type “agent worker-2”').fill('agent worker-2')
    await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click()
    await page.getByText('No switch is engaged.').waitFor()
    expect((await update(other)).status).to.equal(200)
  })

  it('says which keys there are, when somebody presses ?', async () => {
    await page.locator('h1').click()
    await page.keyboard.press('?')
    await page.getByRole('heading', { name: 'Keys', exact: true }).waitFor()
    await page.getByText('g u', { exact: true }).waitFor()
    await assertAccessible('the keys')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  it('goes to a page, an agent or an action by a few letters, by keys alone', async () => {
    await ui.goto('/')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('Control+k')
    const field = page.getByRole('combobox', { name: 'Page, agent, tool or id' })
    await field.fill('worker-')
    await page.getByRole('option', { name: /^worker-1 agent/ }).waitFor()
    await assertAccessible('the palette')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/ui\/agents\?q=agt_/)
    await page.getByRole('button', { name: 'Go to …' }).click()
    await field.fill('a')
    const chosen = page.getByRole('dialog').getByRole('option', { selected: true })
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('ArrowDown')
    expect(await chosen.count()).to.equal(1)
    const { body } = await gate.act(agent, { tool: 'items.delete', args: { id: 'i-9' } })
    await field.fill(body.action_id)
    await page.getByRole('option', { name: /^items\.delete action held/ }).waitFor()
    await page.keyboard.press('Enter')
    await page.waitForURL(`**/ui/actions/${body.action_id}`)
    await page.keyboard.press('Control+k')
    await field.fill('kill')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Kill switch' }).waitFor()
    await page.keyboard.press('Control+k')
    await field.fill('no such thing')
    await page.getByText('Nothing of that name.').waitFor()
    await page.keyboard.press('Escape')
    await field.waitFor({ state: 'detached' })
  })

  it('says nothing in the console, breaks no rule of its policy, and asks nobody else', () => {
    expect(ui.said).to.deep.equal([])
  })
})
