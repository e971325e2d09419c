// Runs the agents of examples/frameworks with the real packages, installed with npm in a folder of their own, against a gate
// and the demo system: each reads, is held until somebody approves, and is refused. The system's own ledger is believed.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { DemoService } from '../../src/cli/demo-service.ts'
import { scratch } from '../support/scratch.ts'
import { freePort } from '../support/gate-process.ts'
import { TestGate } from '../support/gate.ts'
import { pack } from '../support/packed.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const EXAMPLES = path.join(ROOT, 'examples', 'frameworks')
const AGENTS = ['ai-sdk.mjs', 'openai-agents.mjs', 'langchain.mjs', 'agent.py']

const say = (text: string): void => void process.stdout.write(`${text}\n`)

function install(): string {
  const folder = scratch('frameworks')
  fs.cpSync(EXAMPLES, folder, { recursive: true })
  const startedAt = performance.now()
  for (const args of [['i'], ['i', '--no-save', pack('portcullis', folder)]]) {
    const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
  const { stdout } = spawnSync('npm', ['ls', 'openai', '--json'], { cwd: folder, encoding: 'utf8' })
  const versions = new Set(
    [...stdout.matchAll(/"openai": \{\s+"version": "(\d+)/g)].map(([, v]) => v),
  )
  assert.deepEqual([...versions], ['6'], 'one openai 6')
  say(`installed in ${Math.round((performance.now() - startedAt) / 1000)} s`)
  return folder
}

/** Plays one agent; what it is held for is approved as soon as it says so. */
async function play(gate: TestGate, folder: string, file: string, key: string): Promise<string> {
  const command = file.endsWith('.py') ? 'python3' : process.execPath
  const child = spawn(command, [file], {
    cwd: folder,
    env: { PATH: process.env['PATH'], PORTCULLIS_URL: gate.gate.url, PORTCULLIS_KEY: key },
  })
  let said = ''
  const approved = new Set<string>()
  const votes: Promise<unknown>[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    for (const [id] of said.matchAll(/apr_\w+(?=:)/g)) {
      if (approved.has(id)) continue
      approved.add(id)
      votes.push(gate.call('POST', `/approvals/${id}/approve`, { body: { reason: 'fine' } }))
    }
  })
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const code = await new Promise((resolve) => child.once('close', resolve))
  await Promise.all(votes)
  assert.equal(code, 0, said)
  assert.equal(approved.size, 1, `${file} is held once:\n${said}`)
  return said
}

const folder = install()
const port = await freePort()
const demo = await DemoService.start({ port, ledgerFile: path.join(folder, 'ledger.jsonl') })
const policyDir = path.join(folder, 'policies')
fs.cpSync(path.join(ROOT, 'policies'), policyDir, { recursive: true })
// One customer hears from all of them.
const policy = fs.readFileSync(path.join(policyDir, 'gate.yaml'), 'utf8')
assert.match(policy, /frequency: \{ limit: 3,/)
const often = policy.replace('frequency: { limit: 3,', 'frequency: { limit: 30,')
fs.writeFileSync(path.join(policyDir, 'gate.yaml'), often)
const gate = await TestGate.start({
  policyDir,
  env: { TICKETING_API_URL: demo.url },
})
const sent = async (): Promise<number> => {
  const ledger = await (await fetch(`${demo.url}/_ledger`)).text()
  return ledger.match(/"customer_id":"c-1"/g)?.length ?? 0
}
for (const file of AGENTS) {
  const before = await sent()
  const key = await gate.agent(file.replace(/\W/g, '-'), ['support'])
  const said = await play(gate, folder, file, key)
  assert.match(said, /"subject":\s*"Password reset link has expired"/, said)
  assert.match(said, /"sent":\s*true/, said)
  assert.match(said, /"refused":\s*"this customer must not be contacted"/, said)
  assert.equal(await sent(), before + 1, 'the held mail went out once, after the approval')
  say(`${file}: allowed, held, resumed after the approval, refused`)
}
await gate.stop()
await demo.stop()
say('campaign:frameworks holds')
process.exit(0)
