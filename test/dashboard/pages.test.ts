import axe from 'axe-core'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { chromium, type Browser, type Page } from 'playwright-core'
import { TestGate, until } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((at) => fs.existsSync(at))
const ASSETS = path.resolve(import.meta.dirname, '..', '..', 'dist', 'ui', 'assets')
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const EVIL = '<img src=x onerror="window.hit=1">\u202etxt\u0007'

it('the dashboard: its first load is at most 60 kB gzipped', () => {
  const first = fs.readdirSync(ASSETS).filter((name) => /^index-.*\.(?:js|css)$/.test(name))
  const bytes = first.map((name) => gzipSync(fs.readFileSync(path.join(ASSETS, name))).length)
  expect(bytes.length).to.be.greaterThan(1)
  expect(bytes.reduce((all, one) => all + one, 0)).to.be.below(60_000)
})

const run = CHROMIUM ? describe : describe.skip
if (!CHROMIUM) console.log('  the dashboard in a browser: skipped: no Chromium')

run('the dashboard in Chromium', () => {
  let gate: TestGate
  let browser: Browser
  let page: Page
  let agent: string
  let approver: string
  const said: string[] = []
  before(async () => {
    gate = await TestGate.start()
    agent = await gate.agent('worker-1')
    approver = await gate.key('operator', 'ada')
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ARGS })
    page = await browser.newPage({ viewport: { width: 375, height: 740 } })
    page.setDefaultTimeout(60_000)
    page.on('console', (one) => one.type() === 'error' && said.push(one.text()))
    page.on('pageerror', (error) => said.push(error.message))
    page.on('request', (one) => {
      if (!one.url().startsWith(gate.gate.url)) said.push(`asks ${one.url()}`)
    })
  })
  after(async () => {
    await browser?.close()
    await gate.stop()
  })

  async function assertAccessible(what: string): Promise<void> {
    await page.evaluate(axe.source)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const width of [375, 1280]) {
        await page.setViewportSize({ width, height: 740 })
        const found = (await page.evaluate(
          `axe.run({ runOnly: ${JSON.stringify(TAGS)} }).then(({ violations }) =>
            violations.map((one) => one.id + ' ' + one.nodes[0].target))`,
        )) as string[]
        expect(found, `${what} ${colorScheme} ${width}`).to.deep.equal([])
        const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
        expect(over, `${what} ${width} scrolls sideways`).to.be.at.most(0)
      }
    }
    await page.setViewportSize({ width: 375, height: 740 })
  }

  it('signs in with a key', async () => {
    await page.goto(`${gate.gate.url}/ui/`)
    await page.getByLabel('API key').fill(approver)
    said.length = 0 // that nobody was signed in is a 401, which a browser prints
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('Nothing waits for a person.').waitFor()
    await page.getByText('live', { exact: true }).waitFor()
    await assertAccessible('no approvals')
  })

  it('approves from the link of a notice in two taps, and shows what an agent wrote as text', async () => {
    const args = { id: 'i-1' }
    const held = await gate.act(agent, { tool: 'items.delete', args, reason: EVIL })
    const { url } = (await gate.call('GET', `/approvals/${held.body.approval.id}`)).body
    await page.goto(gate.gate.url + url)
    await page.getByText('DELETE', { exact: true }).waitFor()
    await page.getByText('U+202E').waitFor()
    await page.getByText('U+0007').waitFor()
    expect(await page.evaluate('window.hit')).to.equal(undefined)
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
    await page.goto(`${gate.gate.url}/ui/kill`)
    await page.getByRole('button', { name: 'Release' }).waitFor()
    await assertAccessible('the kill switch')
    await page.getByRole('button', { name: 'Release' }).click()
    await page.getByLabel('Reason').fill('over')
    await page.getByLabel(/^Type/).fill('everything')
    await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click()
    await page.getByText('No switch is engaged.').waitFor()
  })

  it('says nothing in the console, breaks no rule of its policy, and asks nobody else', () => {
    expect(said).to.deep.equal([])
  })
})
