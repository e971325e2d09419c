import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { heard, until } from '../support/gate.ts'

const BURST = 2_100
const AT_ONCE = 40

inChromium('the dashboard: what happens now', () => {
  let ui: TestDashboard
  let agent: string
  before(async () => {
    ui = await TestDashboard.start()
    agent = await ui.gate.agent('worker-1')
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/live')
  })
  after(() => ui.stop())

  const rows = () => ui.page.locator('.window [data-row]')
  const count = async (of: string) =>
    Number(await ui.page.locator(`[data-count=${of}]`).innerText())
  const size = async () => (await ui.gate.call('GET', '/state')).body.audit.size as number
  const deny = (tool = 'no.such') => heard(() => ui.gate.act(agent, { tool, args: {} }))

  it('shows what was before, and what comes while it is looked at, without being asked', async () => {
    await ui.page.getByText('agent.created').first().waitFor()
    const asked: string[] = []
    const note = (one: { url(): string }) => asked.push(one.url())
    ui.page.on('request', note)
    await ui.gate.act(agent, { tool: 'items.update', args: { id: 'i-1', note: 'n' } })
    await rows().filter({ hasText: 'outcome' }).first().waitFor()
    ui.page.off('request', note)
    expect(asked).to.deep.equal([])
    await ui.assertAccessible('live')
  })

  it('shows what others wrote as text', async () => {
    const body = { name: `evil ${EVIL.replace('\u0007', '')}`, roles: ['worker'] }
    const made = await heard(() => ui.gate.call('POST', '/api/v1/agents', { body }))
    expect(made.status).to.equal(201)
    await ui.gate.act(made.body.api_key, { tool: EVIL.slice(0, 30), args: {} })
    await ui.assertShownAsText()
  })

  it('keeps filters in the URL, through a reload and back', async () => {
    await deny()
    await ui.page.getByLabel('Decided').selectOption('deny')
    await ui.page.getByLabel('Tool').fill('no.such')
    await ui.page.keyboard.press('Enter')
    await ui.page.waitForURL(/tool=no\.such$/)
    await ui.page.reload()
    await rows().filter({ hasText: 'no.such' }).first().waitFor()
    expect(await rows().allInnerTexts()).to.have.length(1)
    expect(new URL(ui.page.url()).search).to.equal('?effect=deny&tool=no.such')
    await ui.page.goBack()
    await ui.page.waitForURL(/effect=deny$/)
    await ui.page.goBack()
    await ui.page.waitForURL(/live$/)
    await rows().filter({ hasText: 'agent.created' }).first().waitFor()
  })

  it('stands still while it is paused, says how many it holds back, and goes on', async () => {
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('p')
    const before = await rows().first().innerText()
    await deny('while.paused')
    await ui.page.getByText('1 held back').waitFor()
    expect(await rows().first().innerText()).to.equal(before)
    await ui.page.keyboard.press('p')
    await rows().filter({ hasText: 'while.paused' }).first().waitFor()
  })

  it('leads to the story of a row by keys alone, and back', async () => {
    await ui.page.keyboard.press('j')
    await ui.page.keyboard.press('j')
    await ui.page.keyboard.press('k')
    await ui.page.keyboard.press('Enter')
    await ui.page.getByRole('heading', { name: 'Guards that looked' }).waitFor()
    await ui.page.keyboard.press('Escape')
    await rows().first().waitFor()
    await ui.page.keyboard.press('g')
    await ui.page.keyboard.press('c')
    await ui.page.getByText(/\d+ match/).waitFor()
    await ui.page.getByRole('button', { name: 'Letter keys' }).click()
    await ui.page.keyboard.press('g')
    await ui.page.keyboard.press('l')
    expect(ui.page.url()).to.contain('/ui/actions')
    await ui.page.getByRole('button', { name: 'Letter keys' }).click()
    await ui.page.locator('h1').click()
    await ui.page.keyboard.press('g')
    await ui.page.keyboard.press('l')
    await rows().first().waitFor()
  })

  it(`counts every entry of ${BURST} at once, and holds a few rows of them only`, async () => {
    await ui.page.goto(`${ui.gate.gate.url}/ui/live`)
    await ui.page.getByText('live', { exact: true }).waitFor()
    await rows().first().waitFor()
    await ui.page.evaluate(`window.most = 0; window.drawn = 0
      new MutationObserver((changes) => {
        window.most = Math.max(window.most, document.querySelectorAll('.window li').length)
        window.drawn += 1
      }).observe(document.querySelector('main'), { childList: true, subtree: true, characterData: true })`)
    const [sizeBefore, countBefore] = [await size(), await count('entries')]
    let left = BURST
    const some = async () => {
      while (left-- > 0) await deny('burst')
    }
    await Promise.all(Array.from({ length: AT_ONCE }, some))
    const came = (await size()) - sizeBefore
    expect(came).to.be.at.least(BURST)
    await until('all are counted', async () => (await count('entries')) === countBefore + came)
    expect(await count('deny')).to.equal(BURST)
    expect(await ui.page.evaluate('window.most')).to.be.within(1, 60)
    // Drawn when there is time for it, and not for each.
    expect(await ui.page.evaluate('window.drawn')).to.be.below(BURST)
    const kept = await ui.page.locator('.window li').first().getAttribute('aria-setsize')
    expect(Number(kept)).to.be.within(2_000, 2_200)
  })

  it('says nothing in the console, breaks no rule of its policy, and asks nobody else', () => {
    expect(ui.said).to.deep.equal([])
  })
})
