import { expect } from 'chai'
import { inChromium, TestDashboard } from '../support/dashboard.ts'
import { until } from '../support/gate.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

// Names may hold no control characters, and others that are not seen.
const HIDDEN_NAME = '<img src=x onerror="window.hit=1">\u202etxt'

inChromium('the dashboard: settings', () => {
  let ui: TestDashboard
  let receiver: TestUpstream
  let ada: string
  before(async () => {
    receiver = await TestUpstream.start()
    receiver.behave = (_effect, res) => reply(res, 200, {})
    const secret = `whsec_${Buffer.alloc(32, 'a secret of the tests').toString('base64')}`
    const env = { ALERT_WEBHOOK_URL: `${receiver.url}/alerts`, WEBHOOK_SECRET: secret }
    ui = await TestDashboard.start({ env })
    ada = await ui.gate.key('admin', 'ada')
    await ui.signIn(ada, '/settings')
  })
  after(async () => {
    await ui.stop()
    await receiver.stop()
  })
  const tab = (name: string) => ui.page.getByRole('link', { name, exact: true }).click()
  const button = (name: string) => ui.page.getByRole('button', { name, exact: true })
  const card = (text: string) => ui.page.locator('.cards > li').filter({ hasText: text })
  const roleOf = async (key: string) =>
    (await ui.gate.call('GET', '/whoami', { key })).body.role ?? null

  it('makes a key, and shows it once, until somebody says that it is kept', async () => {
    await button('New key').click()
    await ui.page.getByLabel('Name, of whoever holds it').fill('on-call')
    await ui.page.getByLabel('Role').last().selectOption('operator')
    await ui.page.getByText('stops, pauses, settles').waitFor()
    await ui.assertAccessible('a new key')
    await button('Create it').click()
    const shown = ui.page.getByRole('region', { name: 'The key', exact: true })
    const key = await shown.innerText()
    expect(await roleOf(key)).to.equal('operator')
    await ui.assertAccessible('a key shown once')
    for (let times = 0; times < 3; times++) await ui.page.keyboard.press('Escape')
    await shown.waitFor()
    await button('I have stored it').click()
    await shown.waitFor({ state: 'detached' })
    await card('on-call').waitFor()
    expect(await ui.page.content()).not.to.include(key)
  })

  it('rotates a key, and says when the old one stops', async () => {
    const old = await ui.gate.key('observer', 'reports')
    await card('reports').getByRole('button', { name: 'Rotate' }).click()
    await ui.page.getByLabel('The old key stops working').selectOption('at once')
    await button('Rotate it').click()
    const key = await ui.page.getByRole('region', { name: 'The key', exact: true }).innerText()
    await button('I have stored it').click()
    expect(key).not.to.equal(old)
    expect(await roleOf(key)).to.equal('observer')
    expect(await roleOf(old)).to.equal(null)
  })

  it('revokes a key when its name is typed, and then shows it among those that are over', async () => {
    const key = await ui.gate.key('approver', 'left-the-firm')
    await card('left-the-firm').getByRole('button', { name: 'Revoke' }).click()
    expect(await button('Revoke it').isDisabled()).to.equal(true)
    await ui.page.getByLabel('Type “left-the-firm”').fill('left-the-firm')
    await ui.assertAccessible('revoking a key')
    await button('Revoke it').click()
    await card('left-the-firm').waitFor({ state: 'detached' })
    expect(await roleOf(key)).to.equal(null)
    await ui.page.getByLabel('State').selectOption('revoked')
    await card('left-the-firm').getByText('revoked', { exact: true }).waitFor()
    await ui.page.reload()
    await card('left-the-firm').waitFor()
    await ui.page.getByLabel('State').selectOption('')
  })

  it('shows names as text, and asks for the id where a name cannot be typed', async () => {
    await ui.gate.key('observer', HIDDEN_NAME)
    await ui.assertShownAsText()
    await ui.assertAccessible('API keys')
    await card('U+202E').getByRole('button', { name: 'Revoke' }).click()
    await ui.page.getByLabel(/^Type “key_/).waitFor()
    await button('Cancel').click()
  })

  it('says what this gate is and what it depends on', async () => {
    await tab('This gate')
    const version = (await ui.gate.call('GET', '/meta')).body.version
    await ui.page.getByText(version, { exact: true }).first().waitFor()
    await ui.page.getByRole('heading', { name: /Readiness ready/ }).waitFor()
    await ui.page.getByText('(this one)').waitFor()
    await ui.assertAccessible('this gate')
  })

  it('sends a notice to try the way with, and says what became of it', async () => {
    await tab('Webhooks')
    await ui.page.getByText('APPROVAL_WEBHOOK_URL').waitFor()
    expect(await button('Send a test of approvals').isDisabled()).to.equal(true)
    await button('Send a test of alerts').click()
    await until('it is received', () => receiver.effects.length > 0)
    await card('delivered').waitFor()
    await ui.assertAccessible('webhooks')
    receiver.behave = (_effect, res) => reply(res, 410, {})
    await button('Send a test of alerts').click()
    await card('retrying').or(card('failed')).waitFor()
  })

  it('keeps a theme, and has it before anything is drawn', async () => {
    await tab('Me')
    await ui.page.getByText('ada', { exact: true }).first().waitFor()
    await ui.assertAccessible('me')
    await ui.page.emulateMedia({ colorScheme: 'light' })
    await ui.page.getByLabel('Theme').selectOption('dark')
    const scheme = 'getComputedStyle(document.documentElement).colorScheme'
    expect(await ui.page.evaluate(scheme)).to.equal('dark')
    // What holds when the parser comes to the body, which is before a module runs.
    await ui.page.addInitScript(`new MutationObserver((_, it) => {
      if (!document.body) return
      it.disconnect()
      window.first = ${scheme}
    }).observe(document, { childList: true, subtree: true })`)
    await ui.page.reload()
    expect(await ui.page.evaluate('window.first')).to.equal('dark')
    await ui.page.getByLabel('Theme').selectOption('system')
    expect(await ui.page.evaluate(scheme)).to.equal('light dark')
  })

  it('turns keys of one letter off and on, and keeps that', async () => {
    const box = ui.page.getByLabel('Keys of one letter do something')
    await box.uncheck()
    await ui.page.reload()
    expect(await box.isChecked()).to.equal(false)
    await box.check()
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('g')
    await ui.page.keyboard.press('n')
    await ui.page.getByRole('heading', { name: 'Agents' }).waitFor()
    await ui.page.keyboard.press('g')
    await ui.page.keyboard.press('e')
    await ui.page.getByRole('heading', { name: 'Settings' }).waitFor()
  })

  it('says nothing in the console, breaks no rule of its policy, and asks nobody else', () => {
    expect(ui.said).to.deep.equal([])
  })

  it('ends every session of a name, when that is asked for', async () => {
    const headers = { 'x-portcullis-csrf': '1', 'sec-fetch-site': 'same-origin' }
    const body = { key: ada }
    const other = await ui.gate.call('POST', '/ui/session', { key: null, body, headers })
    expect(other.status).to.be.within(200, 201)
    const cookie = other.headers.get('set-cookie')?.split(';')[0] ?? ''
    const site = headers['sec-fetch-site']
    const own = { cookie, 'sec-fetch-site': site }
    const seen = () => ui.gate.call('GET', '/ui/session', { key: null, headers: own })
    expect((await seen()).status).to.equal(200)
    await tab('Me')
    await button('Sign out everywhere').click()
    await ui.page.getByLabel('API key').waitFor()
    expect((await seen()).status).to.equal(401)
  })

  it('shows an observer what may be seen, and which role the rest needs', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/settings?tab=keys')
    await ui.page.getByText('needs the role admin').waitFor()
    expect(await button('New key').isDisabled()).to.equal(true)
    await ui.assertAccessible('keys of an observer')
    await tab('Webhooks')
    await ui.page.getByText('needs the role operator').waitFor()
    await tab('Me')
    await ui.page.getByText('ola', { exact: true }).first().waitFor()
    expect(ui.said).to.deep.equal([])
  })
})
