import axe from 'axe-core'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { TestGate, type TestGateOptions } from './gate.ts'

// A gate and a browser that looks at its dashboard. Without Chromium such tests are skipped, and say so.

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((at) => fs.existsSync(at))
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
/** A directory for a picture of every state that is asserted to be accessible, for whoever wants to look. */
const SHOTS = process.env['SHOTS']

/** What an agent may write to take over a page that shows it, or to look like something else. */
export const EVIL = '<img src=x onerror="window.hit=1">\u202etxt\u0007'

export const inChromium = CHROMIUM ? describe : describe.skip
if (!CHROMIUM) console.log('  the dashboard in a browser: skipped: no Chromium')

export class TestDashboard {
  readonly gate: TestGate
  readonly page: Page
  readonly #browser: Browser
  /** What the page says in the console, and whom else it asks. */
  readonly said: string[] = []

  private constructor(gate: TestGate, browser: Browser, page: Page) {
    this.gate = gate
    this.page = page
    this.#browser = browser
    page.setDefaultTimeout(60_000)
    page.on('console', (one) => one.type() === 'error' && this.said.push(one.text()))
    page.on('pageerror', (error) => this.said.push(error.message))
    page.on('request', (one) => {
      if (!one.url().startsWith(gate.gate.url)) this.said.push(`asks ${one.url()}`)
    })
  }

  static async start(options: TestGateOptions = {}): Promise<TestDashboard> {
    const gate = await TestGate.start(options)
    const browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ARGS })
    const page = await browser.newPage({ viewport: { width: 375, height: 740 } })
    return new TestDashboard(gate, browser, page)
  }

  async stop(): Promise<void> {
    await this.#browser.close()
    await this.gate.stop()
  }

  goto(where: string): Promise<unknown> {
    return this.page.goto(`${this.gate.gate.url}/ui${where}`)
  }

  async signIn(key: string, where = '/'): Promise<void> {
    await this.goto(where)
    await this.page.getByLabel('API key').fill(key)
    this.said.length = 0 // that nobody was signed in is a 401, which a browser prints
    await this.page.getByRole('button', { name: 'Sign in' }).click()
    await this.page.getByText('live', { exact: true }).waitFor()
  }

  /** In both colours, on a phone and on a desk: nothing that axe finds, and nothing that scrolls sideways. */
  async assertAccessible(what: string): Promise<void> {
    const { page } = this
    await page.evaluate(axe.source)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const width of [375, 1280]) {
        await page.setViewportSize({ width, height: 740 })
        const found = (await page.evaluate(
          `axe.run({ runOnly: ${JSON.stringify(TAGS)} }).then(({ violations }) =>
            violations.map((one) => one.id + ' ' + one.nodes[0].target))`,
        )) as string[]
        if (SHOTS !== undefined) {
          const name = `${what.replaceAll(/\W+/g, '-')}-${colorScheme}-${width}.png`
          await page.screenshot({ path: path.join(SHOTS, name), fullPage: true })
        }
        expect(found, `${what} ${colorScheme} ${width}`).to.deep.equal([])
        const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
        expect(over, `${what} ${width} scrolls sideways`).to.be.at.most(0)
      }
    }
    await page.setViewportSize({ width: 375, height: 740 })
  }

  /** What somebody else wrote stands there as text, with its characters that are not seen marked. */
  async assertShownAsText(): Promise<void> {
    await this.page.getByText('U+202E').first().waitFor()
    expect(await this.page.evaluate('window.hit')).to.equal(undefined)
  }
}
