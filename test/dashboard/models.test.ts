import { expect } from 'chai'
import { EVIL, inChromium, TestDashboard } from '../support/dashboard.ts'
import { ModelServer, sendJson } from '../support/model-server.ts'
import { GATE } from '../support/policies.ts'

const KEY = 'sk-secret-of-the-model-0123456789'
const POLICY = `${GATE.replace(
  'rate_limits:',
  `  - { roles: [worker], tools: [llm.chat], effect: allow }
rate_limits:`,
)}
llm:
  model: test-model
  max_tokens: 100
  timeout_s: 20
  prices: { test-model: { input: '10', output: '100' } }
`

inChromium('the dashboard: models', () => {
  let ui: TestDashboard
  let model: ModelServer
  before(async () => {
    model = await ModelServer.start()
    ui = await TestDashboard.start({
      policies: { 'gate.yaml': POLICY },
      env: { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: model.url },
    })
  })
  after(async () => {
    await ui.stop()
    await model.stop()
  })
  const chat = (key: string) =>
    ui.gate.call('POST', '/llm/chat', { key, body: { prompt: 'hello' } })
  const chosen = (name: string) => ui.page.getByRole('combobox', { name, exact: true })
  const row = async (name: string | RegExp) => {
    const found = ui.page.getByRole('row', { name }).first()
    await found.waitFor()
    return (await found.innerText()).split(/\s+/).join(' ')
  }

  it('says which model there is and what it costs, never its key, and how to call it', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/models')
    await ui.page.getByText('10.00 in, 100.00 out').waitFor()
    await ui.page.getByText('No model was called in this time.').waitFor()
    expect(await ui.page.content()).not.to.include(KEY)
    await ui.assertAccessible('models without use')
  })

  it('draws what was used, with its numbers, by model and by agent', async () => {
    const [first, second] = [await ui.gate.agent('worker-1'), await ui.gate.agent('worker-2')]
    model.says({ text: 'ok' })
    for (const key of [first, first, second]) expect((await chat(key)).status).to.equal(200)
    model.will((_request, res) => sendJson(res, 500, {}))
    await chat(second)
    await ui.page.reload()
    expect(await row(/^test-model-2026 /)).to.match(/^test-model-2026 3 0 300 60 0\.009$/)
    expect(await row(/^did not answer /)).to.match(/^did not answer 1 1 0 0 /)
    await ui.page.getByRole('img', { name: /^Tokens by model: .*test-model-2026 360/ }).waitFor()
    await ui.assertAccessible('models')
    await chosen('By').selectOption('agent')
    expect(await row(/^worker-1 /)).to.equal('worker-1 2 0 200 40 0.006')
    await chosen('Drawn').selectOption('calls')
    await ui.page.getByRole('img', { name: /^Calls by agent: .*worker-2 2/ }).waitFor()
    await ui.page.reload()
    expect(await row(/^worker-2 /)).to.match(/^worker-2 2 1 100 20 /)
    expect(await row(/^in all /)).to.match(/^in all 4 1 300 60 /)
    await chosen('Time').selectOption('30d')
    expect(await row(/^worker-1 /)).to.equal('worker-1 2 0 200 40 0.006')
  })

  it('shows what a server calls itself as text', async () => {
    model.will((_request, res) =>
      sendJson(res, 200, {
        model: EVIL,
        choices: [{ message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 1 },
      }),
    )
    expect((await chat(await ui.gate.agent('worker-3'))).status).to.equal(200)
    await chosen('By').selectOption('model')
    await ui.page.reload()
    await ui.page
      .getByRole('row', { name: /U\+202E/ })
      .first()
      .waitFor()
    await ui.assertShownAsText()
    expect(ui.said).to.deep.equal([])
  })
})

inChromium('the dashboard: models, where none is configured', () => {
  let ui: TestDashboard
  before(async () => {
    ui = await TestDashboard.start()
  })
  after(() => ui.stop())

  it('names the three variables to set', async () => {
    await ui.signIn(await ui.gate.key('observer', 'ola'), '/models')
    for (const name of ['OPENAI_API_KEY', 'GROQ_API_KEY', 'OPENAI_BASE_URL']) {
      await ui.page.getByText(name, { exact: true }).waitFor()
    }
    await ui.assertAccessible('no model')
    expect(ui.said).to.deep.equal([])
  })
})
