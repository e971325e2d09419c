import { expect } from 'chai'
import { loadBundle } from '../../src/policy/index.ts'
import { KINDS } from '../../src/decide/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { GATE } from '../support/policies.ts'
import { pinsOf } from '../doors/mcp/pinned.ts'
import { SERVED, type ServedTool } from '../doors/mcp/servers.ts'

const GATE_YAML = GATE.replace(/permissions:[^]*rate_limits/, 'permissions: []\nrate_limits')
const server = (name: string) => `version: 1
upstreams: { ${name}: { mcp: { url: "http://127.0.0.1:1/mcp" } } }
tools: {}
`

const load = (tools: string, pins?: string) =>
  loadBundle(
    {
      'gate.yaml': GATE_YAML,
      'tools.yaml': tools,
      ...(pins === undefined ? {} : { 'mcp-pins.json': pins }),
    },
    { ...KINDS, compiler: REGO_COMPILER, env: {}, nowMs: 0 },
  )

async function codes(tools: string, pins?: string): Promise<string[]> {
  const result = await load(tools, pins)
  return result.ok ? [] : result.diagnostics.map(({ code }) => code)
}

async function loaded(tools: string, pins: string) {
  const result = await load(tools, pins)
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics))
  return result.bundle
}

describe('MCP servers in a policy', () => {
  it('have names that a path and a tool can hold, and none of the gate\u2019s own', async () => {
    expect(await codes(server('crm-2'))).to.deep.equal([])
    for (const name of ['tools', 'portcullis']) {
      expect(await codes(server(name)), name).to.deep.equal(['reserved_name'])
    }
    expect(await codes(server('crm_2'))).to.deep.equal(['bad_name'])
  })

  it('are either one or an HTTP API, and take no header of a client', async () => {
    const both = server('crm').replace('{ mcp:', '{ base_url: "http://127.0.0.1:1", mcp:')
    expect(await codes(both)).to.not.deep.equal([])
    expect(
      await codes(server('crm').replace('{ mcp: { url: "http://127.0.0.1:1/mcp" } }', '{}')),
    ).to.include('missing_key')
    const passing = server('crm').replace('{ mcp:', '{ pass_headers: [accept], mcp:')
    expect(await codes(passing)).to.not.deep.equal([])
    expect(await codes(server('crm').replace('http://', 'ftp://'))).to.deep.equal(['bad_base_url'])
  })

  it('may be programs, and what says nothing to one is refused', async () => {
    const of = (words: string) => `version: 1\nupstreams: { files: { ${words} } }\ntools: {}\n`
    const good = 'mcp: { command: [srv, "${DIR:-/x}"], env: [PATH, "A=b"], cwd: /srv }'
    expect(await codes(of(good))).to.deep.equal([])
    const url = 'url: "http://127.0.0.1:1/mcp"'
    for (const [words, code] of [
      ['mcp: {}', 'bad_mcp'],
      [`mcp: { ${url}, command: [srv] }`, 'bad_mcp'],
      [`mcp: { ${url}, env: [PATH] }`, 'bad_mcp'],
      ['mcp: { command: [""] }', 'bad_mcp'],
      ['mcp: { command: [srv] }, headers: { x: y }', 'bad_mcp'],
      ['mcp: { command: [srv], allow_server_requests: [roots] }', 'bad_mcp'],
      ['mcp: { command: [srv] }, credential: { header: Authorization, env: T }', 'bad_mcp'],
      ['mcp: { command: [srv], env: [DATABASE_URL] }', 'bad_env'],
      ['mcp: { command: [srv], env: ["X=a ${WEBHOOK_SECRET}"] }', 'bad_env'],
      ['mcp: { command: [srv, "${NOT_SET}"] }', 'env_missing'],
      ['mcp: { command: [srv, "--key=${WEBHOOK_SECRET:-none}"] }', 'bad_env'],
      ['mcp: { command: [srv], env: ["PATH=/tmp"] }', 'bad_env'],
      ['mcp: { command: [srv], env: ["NODE_OPTIONS=--import=data:,"] }', 'bad_env'],
      ['mcp: { command: [srv], env: ["npm_config_registry=http://x"] }', 'bad_env'],
      ['mcp: { command: ["./srv"], cwd: /tmp }', 'bad_mcp'],
    ] as const) {
      expect(await codes(of(words)), words).to.deep.equal([code])
    }
    expect(await codes(of('mcp: { command: [] }'))).to.not.deep.equal([])
    expect(await codes(of('mcp: { command: [srv], env: ["1A=b"] }'))).to.not.deep.equal([])
    const { upstreams } = await loaded(of(good), pinsOf('files', SERVED))
    expect(upstreams.get('files')?.program).to.deep.equal({
      ...{ command: ['srv', '/x'], env: ['PATH', 'A=b'], cwd: '/srv' },
    })
  })

  it('have the tools that are pinned, irreversible where nothing is said', async () => {
    const rules = `mcp: { tools: { 'crm:*': { effect: write, cost: '0.5' }, 'crm:find': { effect: read, cost: '0' } } }\n`
    const { tools } = await loaded(`${server('crm')}${rules}`, pinsOf('crm', SERVED))
    expect(tools.get('mcp.crm.find')).to.include({ effectClass: 'read', costMicros: 0n })
    expect(tools.get('mcp.crm.store')).to.include({ effectClass: 'write', costMicros: 500_000n })
    const plain = await loaded(server('crm'), pinsOf('crm', SERVED))
    expect(plain.tools.get('mcp.crm.find')?.effectClass).to.equal('irreversible')
  })

  it('are another revision when a pin is another', async () => {
    const one = await loaded(server('crm'), pinsOf('crm', SERVED))
    const changed = SERVED.map((tool) => ({ ...tool, description: 'changed' }))
    const two = await loaded(server('crm'), pinsOf('crm', changed))
    expect(one.revision).to.not.equal(two.revision)
  })

  it('offer no tool whose schema does not compile, is too deep or reaches out, and say so', async () => {
    let deep: object = { type: 'string' }
    for (let n = 0; n < 20; n++) deep = { type: 'object', properties: { a: deep } }
    const schemas: readonly object[] = [
      { type: 'object', properties: { a: { $ref: 'https://evil.example/schema' } } },
      { type: 'object', properties: { a: { type: 'strange' } } },
      { type: 'object', properties: { a: { pattern: '(?=x)' } } },
      { type: 'object', properties: { a: { uniqueItems: true } } },
      deep,
    ]
    const tools = schemas.map((inputSchema, n) => ({ name: `bad${n}`, inputSchema }))
    const good = { name: 'good', inputSchema: { type: 'object', 'x-own': 1, format: 'unheard' } }
    const pins = pinsOf('crm', [...tools, good] as unknown as ServedTool[])
    const bundle = await loaded(server('crm'), pins)
    expect([...bundle.tools.keys()].filter((name) => name.startsWith('mcp.'))).to.deep.equal([
      'mcp.crm.good',
    ])
    expect(bundle.warnings.filter(({ code }) => code === 'unusable_pin')).to.have.length(5)
  })

  it('refuse rules for servers and args that are not there', async () => {
    const pins = pinsOf('crm', SERVED)
    const rule = (text: string) => `${server('crm')}mcp: { tools: { ${text} } }\n`
    expect(await codes(rule(`'cmr:find': { effect: read }`), pins)).to.deep.equal([
      'no_such_upstream',
    ])
    const misspelt = rule(`'crm:find': { resource: { type: person, id_arg: idd } }`)
    expect(await codes(misspelt, pins)).to.deep.equal([]) // the schema is open: such an arg may come
    const closed = SERVED.map((tool) => ({
      ...tool,
      inputSchema: { ...tool.inputSchema, additionalProperties: false },
    }))
    expect(await codes(misspelt, pinsOf('crm', closed))).to.deep.equal(['no_such_arg'])
    expect(await codes(rule(`'crm:find': { efect: read }`), pins)).to.deep.equal(['unknown_key'])
  })

  it('have behind the gate what globs name of their resources and prompts, as tools that take no more', async () => {
    const exposing = (lists: string) => `${server('crm')}mcp: { ${lists} }\n`
    const both = exposing("resources: ['crm:notes://a/*', 'crm:x://**'], prompts: ['crm:sum*']")
    const { tools, argsChecks } = await loaded(both, pinsOf('crm', SERVED))
    const names = [...tools.keys()].filter((name) => /^mcp\.crm\..+\./.test(name))
    expect(names).to.deep.equal([
      'mcp.crm.resources.read',
      'mcp.crm.prompts.get',
      'mcp.crm.completion.complete',
    ])
    const takes = (uri: string) => argsChecks.get('mcp.crm.resources.read')?.({ uri }) === undefined
    expect(['notes://a/b', 'x://y/z/w', 'x://'].map(takes)).to.deep.equal([true, true, true])
    const others = ['notes://a/b/c', 'notes://a/', 'y', 'x://a/../b', 'x://a/%2E', 'x://\u00e4']
    expect(others.map(takes)).to.deep.equal([false, true, false, false, false, false])
    expect(await codes(exposing("resources: ['cmr:x://*']"))).to.deep.equal(['no_such_upstream'])
    expect(await codes(exposing("prompts: ['crm:{a']"))).to.deep.equal(['bad_glob'])
    expect(await codes(exposing("prompts: ['crm']"))).to.not.deep.equal([])
  })

  it('lose a pinned tool whose name is that of a method', async () => {
    const read: ServedTool = { name: 'resources.read', inputSchema: { type: 'object' } }
    const { tools, warnings } = await loaded(
      `${server('crm')}mcp: { resources: ['crm:x://*'] }\n`,
      pinsOf('crm', [read]),
    )
    expect(tools.get('mcp.crm.resources.read')?.effectClass).to.equal('read')
    expect(warnings.map(({ code }) => code)).to.include('unusable_pin')
  })
})
