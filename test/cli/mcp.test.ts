import { expect } from 'chai'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '../../src/model/json.ts'
import { CLIENTS } from '../doors/mcp/clients.ts'
import { McpServerFixture, SERVED } from '../doors/mcp/servers.ts'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { until } from '../support/gate.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const BIN = path.join(ROOT, 'bin', 'portcullis.js')

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(command: string, args: readonly string[], cwd: string): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', DEMO: 'off', HOME: cwd }
    const child = spawn(command, args, { env, cwd })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const portcullis = (args: readonly string[], cwd: string) =>
  run(process.execPath, [BIN, 'mcp', ...args], cwd)

describe('portcullis mcp', function () {
  this.timeout(300_000)
  let server: McpServerFixture
  before(async () => {
    server = await McpServerFixture.start('modern')
  })
  beforeEach(() => {
    server.tools = SERVED
  })
  after(() => server.stop())

  function folder(): string {
    const dir = scratch('mcp')
    const tools = `version: 1\nupstreams:\n  crm: { mcp: { url: "${server.url}" } }\ntools: {}\n`
    fs.mkdirSync(path.join(dir, 'policies'))
    fs.writeFileSync(path.join(dir, 'policies', 'tools.yaml'), tools)
    return dir
  }
  const pinsIn = (dir: string) =>
    JSON.parse(fs.readFileSync(path.join(dir, 'policies', 'mcp-pins.json'), 'utf8'))

  it('shows what a server lists and pins it, by whoever says so', async () => {
    const dir = folder()
    const { code, stdout, stderr } = await portcullis(['pin', 'crm', '--by', 'ada'], dir)
    expect(code, stderr).to.equal(0)
    expect(stdout).to.include('+++ b/crm:find').and.include('"description": "Finds one."')
    const pins = pinsIn(dir)
    expect(Object.keys(pins)).to.deep.equal(['crm:erase', 'crm:find', 'crm:hidden', 'crm:store'])
    expect(pins['crm:find']).to.include({ by: 'ada' })
    expect(pins['crm:find'].tool).to.deep.include(SERVED[0])
    const again = await portcullis(['pin', 'crm'], dir)
    expect(again.stdout).to.include('everything is pinned as it is listed')
  })

  it('leaves out what a policy could not read, and pins the rest', async () => {
    const dir = folder()
    let deep: JsonObject = {}
    for (let n = 0; n < 70; n++) deep = { deep }
    server.tools = [...SERVED, { name: 'deep', inputSchema: { type: 'object', properties: deep } }]
    const { code, stderr } = await portcullis(['pin', 'crm'], dir)
    expect(code, stderr).to.equal(0)
    expect(stderr).to.match(/^crm:deep is left out: nesting deeper than 64 at position \d+\n/)
    expect(Object.keys(pinsIn(dir))).to.not.include('crm:deep')
  })

  it('finds what changed, and pins only what is named', async () => {
    const dir = folder()
    await portcullis(['pin', 'crm'], dir)
    expect((await portcullis(['diff'], dir)).code).to.equal(0)
    server.tools = SERVED.filter(({ name }) => name !== 'hidden').map((tool) => ({
      ...tool,
      description: `${tool.name}\u001b[2K, and more`,
    }))
    const { code, stdout, stderr } = await portcullis(['diff', 'crm'], dir)
    expect([code, stderr]).to.deep.equal([5, '4 tools are not as they are pinned\n'])
    expect(stdout).to.include('-  "description": "Finds one."').and.include('and more')
    expect(stdout).to.not.include('\u001b')
    const listed = (await portcullis(['list'], dir)).stdout
    expect(listed).to.match(/crm +find +changed/)
    await portcullis(['pin', 'crm', '--tool', 'find'], dir)
    expect((await portcullis(['list'], dir)).stdout).to.match(/crm +find +pinned/)
    expect((await portcullis(['diff'], dir)).stderr).to.include('3 tools')
    await portcullis(['pin', 'crm'], dir)
    expect(Object.keys(pinsIn(dir))).to.not.include('crm:hidden')
  })

  it('says what is wrong: no such server, no such tool, a server that is not there', async () => {
    const dir = folder()
    const nobody = await portcullis(['pin', 'cmr'], dir)
    expect([nobody.code, nobody.stderr]).to.deep.equal([
      2,
      'no MCP server cmr in policies/tools.yaml; there are: crm\n',
    ])
    expect((await portcullis(['pin', 'crm', '--tool', 'fnid'], dir)).code).to.equal(2)
    fs.writeFileSync(path.join(dir, 'policies', 'mcp-pins.json'), '{"crm:find":{}}')
    expect((await portcullis(['diff'], dir)).code).to.equal(3)
    const away = `version: 1\nupstreams:\n  crm: { mcp: { url: "http://127.0.0.1:1/mcp" } }\ntools: {}\n`
    fs.writeFileSync(path.join(dir, 'policies', 'tools.yaml'), away)
    expect((await portcullis(['list'], dir)).stderr).to.include('crm: the connection failed')
  })

  it('prints what each client is to be given, and no key that it was not', async () => {
    const dir = folder()
    const config = async (client: string, ...more: readonly string[]) => {
      const args = ['config', '--client', client, '--url', 'https://gate.example/', ...more]
      const { code, stdout, stderr } = await portcullis(args, dir)
      expect(code, stderr).to.equal(0)
      return stdout
    }
    const url = 'https://gate.example/mcp/tools'
    expect(await config('claude-code', '--key', "pk_it's")).to.equal(
      `claude mcp add --transport http portcullis-tools ${url} --header 'X-API-Key: pk_it'\\''s'\n`,
    )
    const desktop = JSON.parse(await config('claude-desktop')).mcpServers['portcullis-tools']
    expect([desktop.command, desktop.args.includes(url)]).to.deep.equal(['npx', true])
    expect(desktop.env).to.deep.equal({ PORTCULLIS_KEY: '<agent key>' })
    const cursor = JSON.parse(await config('cursor', '--server', 'crm')).mcpServers
    expect(cursor['portcullis-crm'].url).to.equal('https://gate.example/mcp/crm')
    const code = JSON.parse(await config('vscode', '--key', 'pk_1')).servers['portcullis-tools']
    expect(code).to.deep.equal({ type: 'http', url, headers: { 'X-API-Key': 'pk_1' } })
    const all = JSON.parse(await config('cursor', '--all')).mcpServers
    expect(all['portcullis'].url).to.equal('https://gate.example/mcp')
    const byToken = JSON.parse(await config('vscode', '--oauth')).servers['portcullis-tools']
    expect(byToken).to.deep.equal({ type: 'http', url })
    expect(await config('claude-code', '--oauth')).not.to.include('--header')
    expect((await portcullis(['config', '--client', 'emacs'], dir)).code).to.equal(2)
    const both = ['config', '--client', 'cursor', '--oauth', '--key', 'pk_1']
    expect((await portcullis(both, dir)).code).to.equal(2)
  })

  it('has a tour in docs/mcp.md that works as written', async () => {
    const dir = scratch('mcp-tour')
    fs.cpSync(path.join(ROOT, 'policies'), path.join(dir, 'policies'), { recursive: true })
    fs.mkdirSync(path.join(dir, '.portcullis'), { mode: 0o700 })
    await prepareEmbedded(path.join(dir, '.portcullis'))
    const [port, demoPort] = [await freePort(), await freePort()]
    const gate = new GateProcess(
      port,
      { DEMO: 'on', DEMO_PORT: String(demoPort), API_TOKENS: '', LOG_LEVEL: 'info' },
      dir,
    )
    await gate.start()
    try {
      const { stdout, stderr, code } = await run('bash', ['-e', '-c', script(port)], dir)
      expect(code, stderr).to.equal(0)
      expect(stdout).to.include('claude mcp add --transport http portcullis-tools')
      expect(stdout)
        .to.include('+++ b/crm:find')
        .and.include('policies: ok')
        .and.include('as pinned')
      const key = /X-API-Key": "(pk_[^"]+)"/.exec(stdout)?.[1] ?? ''
      const found = await foundOnce(async () => {
        const client = await CLIENTS['SDK 2.x, modern']?.(`http://127.0.0.1:${port}/mcp/crm`, key)
        const names = (await client?.tools().catch(() => []))?.map(({ name }) => name) ?? []
        const called = names.includes('find') ? await client?.call('find', { id: '7' }) : undefined
        await client?.close()
        return called && { names, called }
      })
      expect(found.names).to.deep.equal(['find'])
      expect(found.called.structuredContent).to.deep.equal({ found: '7' })
      const own = await CLIENTS['SDK 1.x']?.(`http://127.0.0.1:${port}/mcp/tools`, key)
      expect((await own?.tools())?.map(({ name }) => name)).to.include.members([
        'tickets_get',
        'tickets_update',
        'customers_email',
      ])
      await own?.close()
    } finally {
      expect(await gate.kill('SIGINT'), 'Ctrl-C is clean').to.equal(0)
    }
  })

  /** The commands of the tour, for this gate and this server. */
  function script(port: number): string {
    const text = fs.readFileSync(path.join(ROOT, 'docs', 'mcp.md'), 'utf8')
    const [, part = ''] = /<!-- mcp tour -->([^]*)<!-- \/mcp tour -->/.exec(text) ?? []
    const commands = [...part.matchAll(/```sh\n([^]*?)```/g)].map(([, one]) => one).join('\n')
    const shell = `npx_portcullis() { PORT=${port} "${process.execPath}" "${BIN}" "$@"; }\n`
    return `${shell}${commands}`
      .replaceAll('127.0.0.1:8787', `127.0.0.1:${port}`)
      .replaceAll('http://127.0.0.1:3001/mcp', server.url)
      .replaceAll('npx portcullis', 'npx_portcullis')
  }
})

/** What is found once it is there: a policy that was changed is adopted a moment later. */
async function foundOnce<T>(look: () => Promise<T | undefined>): Promise<T> {
  let found: T | undefined
  await until('it is there', async () => {
    found = await look()
    return found !== undefined
  })
  return found as T
}
