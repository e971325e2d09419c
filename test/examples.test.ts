import { execFile, spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { DemoService } from '../src/cli/demo-service.ts'
import { scratch } from './support/scratch.ts'
import { freePort } from './support/gate-process.ts'
import { TestGate } from './support/gate.ts'
import { ModelServer } from './support/model-server.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const CLI = path.join(ROOT, 'bin', 'portcullis.js')

describe('the example policies in Rego', () => {
  it('are one for each kind of guard, and their tests hold and reach everything', () => {
    const kinds = fs
      .readdirSync(path.join(ROOT, 'schemas', 'guards'))
      .map((name) => name.replace('.schema.json', ''))
      .filter((name) => name !== 'common')
    for (const kind of kinds) {
      expect(fs.existsSync(path.join(ROOT, 'examples', 'rego', `${kind}.rego`)), kind).to.equal(
        true,
      )
    }
    const args = [CLI, 'test', 'examples/rego', '--coverage', '--fail-under', '100']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT })
    expect(status, stdout).to.equal(0)
    expect(stdout).to.include('0 failed')
  })

  it('have a directory with policy tests that hold', () => {
    const args = [CLI, 'test', 'examples/policy-tests']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT })
    expect([status, stdout.trim()]).to.deep.equal([0, '16 passed, 0 failed, 0 todo'])
  })
})

describe('the example agents, against the shipped policies and the demo system', () => {
  const run = promisify(execFile)
  let demo: DemoService
  let model: ModelServer
  let gate: TestGate
  let key: string
  before(async () => {
    const port = await freePort()
    const ledgerFile = path.join(scratch('demo'), 'ledger.jsonl')
    demo = await DemoService.start({ port, ledgerFile })
    model = await ModelServer.start()
    gate = await TestGate.start({
      policyDir: path.join(ROOT, 'policies'),
      env: { TICKETING_API_URL: `http://127.0.0.1:${port}`, OPENAI_BASE_URL: model.url },
    })
    key = await gate.agent('agent-support-001', ['support'])
  })
  after(async () => {
    await gate.stop()
    await model.stop()
    await demo.stop()
  })

  const example = async (name: string, ...args: string[]) => {
    const env = { PATH: process.env['PATH'], PORTCULLIS_URL: gate.gate.url, PORTCULLIS_KEY: key }
    const { stdout } = await run(process.execPath, [path.join(ROOT, 'examples', name), ...args], {
      env,
    })
    return stdout
  }

  it('agent.mjs resolves tickets; e-mail is held, or refused where the customer wants none', async () => {
    const said = await example('agent.mjs')
    expect(said).to.include('12 open tickets, 3 of them taken up')
    expect(said.match(/^t-\d+ succeeded$/gm)).to.have.length(3)
    expect(said.match(/c-1: held, a person has to approve apr_/g)).to.have.length(2)
    expect(said).to.include('c-2: refused: this customer must not be contacted')
    const { body } = await gate.call('GET', '/approvals?status=pending')
    expect(body.approvals).to.have.length(2)
  })

  it('llm-test.mjs asks for the status, then the model', async () => {
    model.says({ text: 'pong' })
    const said = await example('llm-test.mjs')
    expect(said).to.include('configured: true')
    expect(said).to.include('answer: pong (120 tokens)')
  })

  it('groq-basic.mjs plays a turn', async () => {
    model.says(
      { calls: [{ name: 'tickets_list', args: { status: 'open' } }] },
      { text: 'Nine are open.' },
    )
    const said = await example('groq-basic.mjs', 'How many?')
    expect(said).to.equal('tickets.list: allow, succeeded\nNine are open.\n')
    expect(JSON.stringify(model.requests[0]?.body.messages)).to.include('How many?')
  })
})
