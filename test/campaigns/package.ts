// Installs both packages from their tarballs in empty folders, with npm and its registry, and does there what a newcomer
// does: make a folder, start, and see a first action allowed, denied, held and approved. Times are printed, and the
// newcomer's is held to two minutes besides the install, on however busy a machine.
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { scratch } from '../support/scratch.ts'
import { freePort } from '../support/gate-process.ts'
import { pack } from '../support/packed.ts'

const NEWCOMER_MS_MAX = 120_000
const START_MS_MAX = 120_000
const ENV = { ...process.env, NO_COLOR: '1', npm_config_update_notifier: 'false' }

interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

function run(cwd: string, command: string, args: readonly string[], expected = 0): Ran {
  const startedAt = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env: ENV })
  const line = [command, ...args].join(' ')
  assert.equal(status, expected, `${line} exits ${status}:\n${stdout}${stderr}`)
  return { stdout, stderr, ms: performance.now() - startedAt }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** Installs a tarball in an empty folder and says what that cost. */
function install(name: 'portcullis' | 'portcullis-rego'): string {
  const folder = scratch('newcomer')
  const tarball = pack(name, folder)
  const packedBytes = fs.statSync(tarball).size
  const { ms, stdout, stderr } = run(folder, 'npm', ['i', tarball])
  const warnings = `${stdout}${stderr}`
    .split('\n')
    .filter((line) => /npm (?:warn|error)/i.test(line))
  assert.deepEqual(warnings, [], 'the install warns')
  const listed = run(folder, 'npm', ['ls', '--all'])
  assert.equal(listed.stderr, '', 'npm ls warns')
  const files = fs
    .readdirSync(path.join(folder, 'node_modules', name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
  const packages = (listed.stdout.match(/@\d+\.\d+\.\d+(?!.*deduped)/g) ?? []).length - 1
  const kib = Math.round(packedBytes / 1024)
  say(
    `${name}: ${kib} KiB packed, ${files.length} files, ${packages} packages, installed in ${seconds(ms)}`,
  )
  return folder
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

async function started(
  folder: string,
  port: number,
  last = 'Try, in another shell',
): Promise<ChildProcess> {
  const child = spawn('npx', ['portcullis', 'start'], { cwd: folder, env: ENV, detached: true })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const deadline = Date.now() + START_MS_MAX
  while (Date.now() < deadline && child.exitCode === null) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready && said.includes(last)) return child
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`the gate did not start:\n${said}`)
}

/** The first minutes with it. */
async function newcomer(folder: string): Promise<void> {
  const startedAt = performance.now()
  const npx = (args: readonly string[], expected = 0) => run(folder, 'npx', args, expected)
  assert.match(npx(['portcullis', '--version']).stdout, /^\d+\.\d+\.\d+\n$/)
  assert.match(
    npx(['portcullis', 'start'], 3).stderr,
    /`portcullis init` makes a folder that works/,
  )
  npx(['portcullis', 'init'])
  // Other gates may run on this machine; a newcomer's has the ports for itself.
  const [port, demoPort] = [await freePort(), await freePort()]
  const env = path.join(folder, '.env')
  const settings = fs.readFileSync(env, 'utf8').replace(/^PORT=.*$/m, `PORT=${port}`)
  fs.writeFileSync(env, `${settings}DEMO_PORT=${demoPort}\n`)
  npx(['portcullis', 'test', '--require'])
  const gate = await started(folder, port)
  const readyAt = performance.now()
  try {
    const key = fs.readFileSync(path.join(folder, '.portcullis', 'agent-support-001.key'), 'utf8')
    const act = async (tool: string, args: object) => {
      const response = await fetch(`http://127.0.0.1:${port}/act`, {
        method: 'POST',
        headers: { 'x-api-key': key.trim(), 'content-type': 'application/json' },
        body: JSON.stringify({ tool, args }),
      })
      return [response.status, JSON.stringify(await response.json())] as const
    }
    const [allowed, done] = await act('tickets.update', { id: 't-1', status: 'resolved' })
    assert.equal(allowed, 200, done)
    const [denied, why] = await act('tickets.update', {
      id: 't-2',
      status: 'closed',
      priority: 'urgent',
    })
    assert.equal(denied, 403, why)
    assert.match(why, /closed_while_urgent/, 'the example in Rego decides')
    const mail = { id: 'c-1', subject: 'Your ticket', body: 'It is resolved.' }
    const [held, waiting] = await act('customers.email', mail)
    assert.equal(held, 202, waiting)
    say(
      `newcomer: allowed, denied and held after ${seconds(performance.now() - startedAt)}, of which ${seconds(readyAt - startedAt)} to a gate that is ready`,
    )
    const [id = ''] = /apr_\w+/.exec(npx(['portcullis', 'approvals', 'list']).stdout) ?? []
    const approved = npx(['portcullis', 'approvals', 'approve', id, '--reason', 'fine'])
    assert.match(approved.stdout, /^approved; customers.email succeeded$/m)
    npx(['portcullis', 'kill', 'on', '--reason', 'drill'])
    npx(['portcullis', 'kill', 'off', '--reason', 'over'])
    const actions = npx(['portcullis', 'actions', 'list', '--json']).stdout
    assert.equal(JSON.parse(actions).actions.length, 3)
    npx(['portcullis', 'audit', 'export', '--out', 'audit.jsonl'])
    const publicKey = path.join('.portcullis', 'audit-public-key.pem')
    npx(['portcullis', 'audit', 'verify', 'audit.jsonl', '--public-key', publicKey])
    const ms = performance.now() - startedAt
    say(`newcomer: approved, stopped, released, verified after ${seconds(ms)}`)
    assert.ok(ms < NEWCOMER_MS_MAX, `a newcomer needs ${seconds(ms)}`)
  } finally {
    await ended(gate)
  }
}

const PETS = `openapi: 3.0.3
info: { title: Petstore, version: 1.0.0 }
servers: [{ url: 'SERVER' }]
paths:
  /pets:
    get: { operationId: listPets }
    post:
      operationId: createPet
      requestBody: { content: { application/json: { schema: { type: object, properties: { name: { type: string } } } } } }
  /pets/{petId}:
    delete: { operationId: deletePet, parameters: [{ name: petId, in: path, required: true, schema: { type: string } }] }
components: { securitySchemes: { key: { type: apiKey, in: header, name: api_key } } }
`

/** An API of one's own behind the gate, from its document alone, in an empty folder beside the install. */
async function ownApi(folder: string): Promise<void> {
  const seen: (string | undefined)[] = []
  const pets = http.createServer((req, res) => {
    seen.push(`${req.method} ${req.url} ${String(req.headers['api_key'])}`)
    res.setHeader('content-type', 'application/json').end('{"id":"p-1"}')
  })
  await new Promise<void>((resolve) => pets.listen(0, '127.0.0.1', resolve))
  const { port: petsPort } = pets.address() as AddressInfo
  const startedAt = performance.now()
  const home = path.join(folder, 'pets')
  fs.mkdirSync(home)
  fs.writeFileSync(
    path.join(home, 'petstore.yaml'),
    PETS.replace('SERVER', `http://127.0.0.1:${petsPort}/v1`),
  )
  const npx = (args: readonly string[], expected = 0) => run(home, 'npx', args, expected)
  npx(['portcullis', 'init', '--from', 'petstore.yaml'])
  const port = await freePort()
  const env = path.join(home, '.env')
  const settings = fs.readFileSync(env, 'utf8').replace(/^PORT=.*$/m, `PORT=${port}`)
  fs.writeFileSync(env, settings.replace(/^PETSTORE_API_KEY=$/m, 'PETSTORE_API_KEY=hush-of-pets'))
  const gate = await started(home, port, 'ready in')
  try {
    const role = ['--role', 'assistant']
    const key = npx(['portcullis', 'agents', 'create', 'my-agent', ...role]).stdout.trim()
    const who = ['--role', 'approver', '--name', 'you']
    const approver = npx(['portcullis', 'keys', 'create', ...who]).stdout.trim()
    const act = async (tool: string, args: object) => {
      const response = await fetch(`http://127.0.0.1:${port}/act`, {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json' },
        body: JSON.stringify({ tool, args }),
      })
      return response.status
    }
    const statuses = [
      await act('listPets', {}),
      await act('deletePet', { petId: 'p-1' }),
      await act('createPet', { name: 'rex' }),
    ]
    assert.deepEqual(statuses, [200, 403, 202])
    say(`own API: allowed, denied and held after ${seconds(performance.now() - startedAt)}`)
    const [id = ''] = /apr_\w+/.exec(npx(['portcullis', 'approvals', 'list']).stdout) ?? []
    // Not waited for by blocking: the API that it calls is in this process.
    const approving = spawn('npx', ['portcullis', 'approvals', 'approve', id, '--key', approver], {
      cwd: home,
      env: ENV,
    })
    assert.match(await text(approving.stdout), /^approved; createPet succeeded$/m)
    assert.deepEqual(seen, ['GET /v1/pets hush-of-pets', 'POST /v1/pets hush-of-pets'])
    const ms = performance.now() - startedAt
    assert.ok(ms < NEWCOMER_MS_MAX, `a newcomer with an API of their own needs ${seconds(ms)}`)
  } finally {
    await ended(gate)
    pets.close()
  }
}

/** Ends npx and the gate that it started, as Ctrl-C does. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  process.kill(-child.pid, 'SIGINT')
  await exit
}

function library(folder: string, source: string): string {
  fs.writeFileSync(path.join(folder, 'use.mjs'), source)
  return run(folder, process.execPath, ['use.mjs']).stdout
}

function compiler(folder: string): void {
  const policies = path.join(folder, 'policies')
  fs.mkdirSync(path.join(policies, 'teams'), { recursive: true })
  fs.writeFileSync(
    path.join(policies, 'app.rego'),
    'package app\n\nallow if regex.match(data.teams.pattern, input.user)\n',
  )
  fs.writeFileSync(path.join(policies, 'teams', 'data.yaml'), 'pattern: ^ann\n')
  fs.writeFileSync(
    path.join(policies, 'app_test.rego'),
    'package app_test\n\ntest_ann if data.app.allow with input as {"user": "ann"}\n',
  )
  const npx = (...args: string[]) => run(folder, 'npx', ['portcullis-rego', ...args])
  npx('check', 'policies')
  npx('fmt', 'policies', '--list')
  assert.match(npx('test', 'policies', '--coverage').stdout, /^1 passed, 0 failed/)
  assert.match(npx('eval', '1 + 1', '-d', 'policies').stdout, /2/)
  npx('build', 'policies', '-e', 'app/allow', '-o', 'bundle.tar.gz')
  const said = library(
    folder,
    `import { compile, load } from 'portcullis-rego'
const compiled = compile({ modules: { 'a.rego': 'package a\\n\\nb := input.x + 1\\n' }, entrypoints: ['a/b'] })
console.log(load(compiled, { data: {} }).evaluate('a/b', { x: 1 }))
`,
  )
  assert.equal(said, '2\n')
  say('portcullis-rego: check, fmt, test, eval, build and import work')
}

const startedAt = performance.now()
const folder = install('portcullis')
await newcomer(folder)
await ownApi(folder)
assert.equal(
  library(
    folder,
    `import { ERRORS } from 'portcullis'
import { parse } from 'portcullis/rego'
console.log(ERRORS.policy_denied, parse('package a').ok)
`,
  ),
  '403 true\n',
)
compiler(install('portcullis-rego'))
say(`campaign:package holds, in ${seconds(performance.now() - startedAt)}`)
