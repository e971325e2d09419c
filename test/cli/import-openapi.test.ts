import { expect } from 'chai'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'

const BIN = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

/** Runs the built command with a text on its standard input. */
function portcullis(args: readonly string[], cwd: string, input = '') {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const env = { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', DEMO: 'off' }
    const child = spawn(process.execPath, [BIN, ...args], { env, cwd })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(input)
  })
}

const DOCUMENT = `openapi: 3.1.0
info: { title: crm, version: '1' }
servers: [{ url: /v1 }]
paths:
  /contacts:
    get: { operationId: contacts.list }
    post:
      operationId: contacts.create
      requestBody: { content: { application/json: { schema: { $ref: 'parts/contact.json#/Contact' } } } }
  /deals/: { get: {} }
  /deals: { get: {} }
`
const GATE = `version: 1
environment: production
permissions: [{ roles: [sales], tools: [contacts.list], effect: allow }]
`

function folder(): string {
  const dir = scratch('import')
  fs.mkdirSync(path.join(dir, 'parts'), { recursive: true })
  fs.writeFileSync(path.join(dir, 'crm.yaml'), DOCUMENT)
  const contact = { type: 'object', properties: { name: { type: 'string' } } }
  fs.writeFileSync(path.join(dir, 'parts/contact.json'), JSON.stringify({ Contact: contact }))
  return dir
}

describe('portcullis import openapi', function () {
  this.timeout(120_000)

  const crm = ['--upstream', 'crm']

  it('prints tools.yaml, and beside it what was left out and what to permit', async () => {
    const dir = folder()
    const { code, stdout, stderr } = await portcullis(
      ['import', 'openapi', 'crm.yaml', ...crm],
      dir,
    )
    expect(code, stderr).to.equal(0)
    expect(stdout).to.include('contacts.create:').and.include('name: { type: string }')
    expect(stdout).to.include('path: /deals/\n')
    expect(stderr).to.include('3 of 4 operations are tools')
    expect(stderr).to.include('left_out (route_same): 1\n  GET /deals: ')
    expect(stderr).to.include('# permissions:\n#   - roles: [ROLE]\n#     tools: [contacts.list, ')
  })

  it('writes a directory that `portcullis check` takes, and shows what a second import changes', async () => {
    const dir = folder()
    const out = ['--out', 'policies']
    fs.mkdirSync(path.join(dir, 'policies'))
    fs.writeFileSync(path.join(dir, 'policies/gate.yaml'), GATE)
    const first = await portcullis(['import', 'openapi', 'crm.yaml', ...crm, ...out], dir)
    expect(first.code, first.stderr).to.equal(0)
    const check = await portcullis(['check', 'policies'], dir)
    expect([check.code, check.stdout]).to.deep.equal([0, check.stdout])
    expect(check.stdout).to.include('3 tools')
    const next = DOCUMENT.replace('contacts.list }', 'contacts.list, summary: All of them }')
    const second = await portcullis(['import', 'openapi', '-', ...crm, ...out], dir, next)
    expect(second.code).to.equal(0)
    expect(second.stderr).to.include('+    description: All of them')
    expect(second.stderr).to.include('0 added\n  changed: contacts.list')
  })

  it('writes nothing that would not load, and leaves the file as it was', async () => {
    const dir = folder()
    fs.mkdirSync(path.join(dir, 'p'))
    const own =
      'version: 1\nupstreams:\n  crm: { base_url: "https://x.example" }\ntools:\n  mine: { upstream: crm, method: GET, path: /contacts, effect: read, args: {} }\n'
    fs.writeFileSync(path.join(dir, 'p/tools.yaml'), own)
    const { code, stderr } = await portcullis(
      ['import', 'openapi', 'crm.yaml', ...crm, '--out', 'p'],
      dir,
    )
    expect(code).to.equal(3)
    expect(stderr).to.include('route_collision')
    expect(fs.readFileSync(path.join(dir, 'p/tools.yaml'), 'utf8')).to.equal(own)
  })

  it('reads a URL, to which a relative server is relative', async () => {
    const server = http.createServer((_, res) => res.end(DOCUMENT)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/docs/crm.yaml`
    const { code, stdout } = await portcullis(['import', 'openapi', url, ...crm], folder())
    server.close()
    expect(code).to.equal(0)
    expect(stdout).to.include(`\${CRM_URL:-http://127.0.0.1:${port}/v1}`)
  })

  it('exits 2 for what is no document, no file and no name, without a stack', async () => {
    const dir = folder()
    for (const [args, input, message] of [
      [['-', ...crm], 'a: [', 'neither JSON nor YAML'],
      [['-', ...crm], '{}', 'neither OpenAPI'],
      [['nowhere.yaml', ...crm], '', 'ENOENT'],
      [['crm.yaml', '--upstream', 'No'], '', 'lower-case'],
    ] as const) {
      const { code, stderr } = await portcullis(['import', 'openapi', ...args], dir, input)
      expect([code, stderr.includes(message), stderr]).to.deep.equal([2, true, stderr])
      expect(stderr).to.not.match(/^ {4}at /m)
    }
  })
})
