import { expect } from 'chai'
import type { Route } from 'playwright-core'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'

inChromium('the dashboard: the record', () => {
  let ui: TestDashboard
  before(async () => {
    ui = await TestDashboard.start()
    const agent = await ui.gate.agent('worker-1')
    for (let n = 0; n < 3; n++) {
      await ui.gate.act(agent, { tool: 'items.update', args: { id: `i-${n}`, note: EVIL } })
    }
    await ui.gate.act(agent, { tool: 'no.such', args: {}, reason: EVIL })
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/audit')
  })
  after(() => ui.stop())

  const verifyHere = () => ui.page.getByRole('button', { name: 'Verify in my browser' }).click()
  const said = () => ui.page.getByText('This browser says')
  /** Changes what the gate exports on its way. */
  const inTransit = async (change: (text: string) => string) => {
    await ui.page.route('**/audit/export', async (route: Route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, body: change(await answer.text()) })
    })
  }
  const assertBroken = async (change: (text: string) => string, why: RegExp) => {
    await inTransit(change)
    await verifyHere()
    await ui.page.getByText(why).first().waitFor()
    expect(await said().innerText()).to.match(/integrity broken/)
    await ui.page.unroute('**/audit/export')
    await ui.page.reload()
  }

  it('lists entries by what the URL says, and leads to one and back', async () => {
    await ui.page.getByRole('link', { name: /^session.started/ }).waitFor()
    await ui.assertAccessible('the record')
    await ui.page.getByLabel('Decided').selectOption('deny')
    await ui.page.waitForURL(/decision=deny$/)
    await ui.page.reload()
    await ui.page.getByRole('link', { name: /^decision/ }).click()
    await ui.page.getByRole('heading', { name: /^Entry \d+: decision/ }).waitFor()
    await ui.assertShownAsText()
    await ui.assertAccessible('an entry')
    await ui.page.reload()
    await ui.page.getByRole('heading', { name: /^Entry \d+: decision/ }).waitFor()
    await ui.page.goBack()
    await ui.page.waitForURL(/decision=deny$/)
    await ui.goto('/audit?kind=none')
    await ui.page.getByText('No entry matches.').waitFor()
    await ui.goto('/audit')
  })

  it('shows what the gate itself finds', async () => {
    await ui.page.getByRole('button', { name: 'Verify now' }).click()
    expect(await ui.page.getByText('The gate says').innerText()).to.match(
      /integrity ok completeness ok/,
    )
    await ui.page.getByText('Signed checkpoints').click()
    await ui.page
      .getByText(/entries, .* by key/)
      .first()
      .waitFor()
    await ui.assertAccessible('verified by the gate')
  })

  it('verifies every hash and signature in the browser, with code that is fetched then', async () => {
    await ui.page.reload()
    const fetched: string[] = []
    const note = (one: { url(): string }) => fetched.push(one.url())
    ui.page.on('request', note)
    await verifyHere()
    await said().waitFor()
    ui.page.off('request', note)
    expect(await said().innerText()).to.match(
      /integrity whole completeness whole, \d+ entries, [1-9]\d* checkpoints/,
    )
    expect(fetched.some((url) => /audit-proof.*\.js$/.test(url))).to.equal(true)
    await ui.assertAccessible('verified in the browser')
  })

  it('shows an entry that was changed on its way as broken', () =>
    assertBroken(
      (text) => text.replace('items.update', 'items.delete'),
      /differs from what was hashed/,
    ))

  it('shows an entry that was changed with its hash as broken', () =>
    assertBroken((text) => {
      const [head, first = '', ...rest] = text.split('\n')
      const entry = JSON.parse(first) as { hash: string }
      const other = JSON.stringify({ ...entry, hash: 'f'.repeat(64) })
      return [head, other, ...rest].join('\n')
    }, /does not continue the entry before it/))

  it('shows an entry that was left out as broken', () =>
    assertBroken((text) => text.split('\n').toSpliced(3, 1).join('\n'), /comes after entry/))

  it('shows a cut tail as broken', () =>
    assertBroken((text) => text.split('\n').slice(0, 5).join('\n'), /the export was cut off/))

  it('shows a signature that does not hold as broken', () =>
    assertBroken(
      (text) => text.replace(/"signature":"....../, '"signature":"AAAAAA'),
      /no signature that holds/,
    ))

  it('shows another past than it saw before as broken, though all of it is signed', async () => {
    await ui.page.evaluate(`localStorage.setItem('portcullis.record', JSON.stringify({
      ...JSON.parse(localStorage.getItem('portcullis.record')), head: 'e'.repeat(64) }))`)
    await verifyHere()
    await ui.page.getByText('this browser has seen another entry here before').waitFor()
    await ui.assertAccessible('a broken record')
  })

  it('says nothing in the console, breaks no rule of its policy, and asks nobody else', () => {
    expect(ui.said).to.deep.equal([])
  })
})
