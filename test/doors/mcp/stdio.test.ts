import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import type { JsonObject } from '../../../src/model/json.ts'
import { freePort, GateProcess } from '../../support/gate-process.ts'
import { prepareEmbedded } from '../../support/database.ts'
import { TestGate, until } from '../../support/gate.ts'
import { writePolicies } from '../../support/policies.ts'
import { scratch } from '../../support/scratch.ts'
import { CLIENTS, type Called, type McpClient } from './clients.ts'
import { STDIO_TOOLS, isAlive, StdioFixture, stdioPolicies, stdioTools } from './stdio.ts'

const ERROR = 'dev.portcullis/error'
const errorOf = ({ _meta }: Called) => _meta?.[ERROR]
const PATIENT = { timeout_ms: 30_000 }
const SECRET = 'the-secret-of-the-files'

describe('MCP servers that the gate runs', function () {
  this.timeout(600_000)

  describe('while they run', () => {
    const server = new StdioFixture()
    let gate: TestGate
    let key: string
    const cwd = fs.realpathSync(scratch('cwd'))
    before(async () => {
      const env = ['SECRET_OF_FILES', 'PLACE=in ${PLACE_OF_FILES}']
      const upstream = { mcp: { command: server.command(), env, cwd }, response_bytes_max: 100_000 }
      gate = await TestGate.start({
        policies: stdioPolicies({ ...upstream, ...PATIENT }),
        env: {
          MCP_COMMANDS: `nothing, ${server.allowed}`,
          MCP_FOLDERS: cwd,
          SECRET_OF_FILES: SECRET,
          PLACE_OF_FILES: 'a place',
          ANOTHER: 'of the gate alone',
        },
      })
      key = await gate.agent('relayed')
    })
    after(() => gate.stop())
    beforeEach(() => server.lists(STDIO_TOOLS))
    const act = (tool: string, args: JsonObject) =>
      gate.act(key, { tool: `mcp.files.${tool}`, args })

    for (const [label, connect] of Object.entries(CLIENTS)) {
      describe(label, () => {
        let client: McpClient
        beforeEach(async () => {
          client = await connect(`${gate.gate.url}/mcp/files`, key)
        })
        afterEach(() => client.close())

        it('lists what is pinned and calls it, as of a server over HTTP', async () => {
          const names = (await client.tools()).map(({ name }) => name)
          expect(names).to.deep.equal(['find', 'store', 'erase'])
          const id = `listed by ${label}`
          const called = await client.call('store', { id })
          expect(called.content[0].text).to.equal(`store by ${server.pids[0]}`)
          expect(server.calls(id)).to.have.length(1)
          expect(called._meta['dev.portcullis/action'].status).to.equal('succeeded')
        })

        it('tells its progress, under the token of the client', async () => {
          const told: number[] = []
          const called = await client.call(
            'find',
            { behave: 'tells' },
            { onprogress: ({ progress }) => told.push(progress) },
          )
          expect(called.content[0].text).to.equal('told')
          expect(told).to.deep.equal([1, 2])
        })

        it('hides a tool that is not what is pinned', async () => {
          server.lists(STDIO_TOOLS.map((one) => ({ ...one, description: `new of ${one.name}` })))
          expect(await client.tools()).to.deep.equal([])
          const failed = await client.call('find', { id: 'x' }).catch((error: Error) => error)
          expect((failed as Error).message).to.include('Unknown tool')
        })
      })
    }

    it('is one process for all agents, twenty calls at once', async () => {
      const calls = Array.from({ length: 20 }, (_, n) => act('store', { id: `many ${n}` }))
      const answers = await Promise.all(calls)
      expect(answers.map(({ body }) => body.status)).to.deep.equal(Array(20).fill('succeeded'))
      const other = await gate.agent('another')
      await gate.act(other, { tool: 'mcp.files.store', args: { id: 'of another' } })
      expect(server.pids).to.have.length(1)
    })

    it('has the environment that is named, works where it is told, and is told of no capabilities', () => {
      const [start] = server.noted
      const { env, cwd: where } = start as { env: JsonObject; cwd: string }
      // What the system puts there by itself is not the gate's.
      const { __CF_USER_TEXT_ENCODING: _, ...given } = env
      expect(given).to.deep.equal({ SECRET_OF_FILES: SECRET, PLACE: 'in a place' })
      expect(where).to.equal(cwd)
      expect(server.noted).to.deep.include({ client: {} })
    })

    it('never shows a client what it was given', async () => {
      const { text, body } = await act('find', { behave: 'echoes' })
      expect(body.status, text).to.equal('succeeded')
      expect(text).to.include('[masked]').and.not.include(SECRET)
      await until('somebody is told', async () =>
        (await gate.call('GET', '/api/v1/alerts?type=credential_echoed')).text.includes('files'),
      )
    })

    it('is refused what it asks of its client', async () => {
      const { body } = await act('find', { behave: 'asks' })
      expect(body.result.body.result.content[0].text).to.equal('-32601')
    })

    it('has its standard error in the log, without what is secret, and its noise left out', async () => {
      const { body } = await act('find', { behave: 'speaks' })
      expect(body.status).to.equal('succeeded')
      const log = () => fs.readFileSync(path.join(gate.dataDir, 'app.log'), 'utf8')
      await until('it is there', () => log().includes('of the server'))
      expect(log()).to.match(/"mcp_server":"files","pid":\d+,"msg":"a line {2}\[31mof the server"/)
      await until('the line after it', () => log().includes('[masked]'))
      expect(log()).to.not.include(SECRET).and.not.include('this is no message')
    })

    it('fails a call whose answer is too large, and goes on', async () => {
      const { status, body } = await act('find', { behave: 'floods' })
      expect([status, body.error.code]).to.deep.equal([502, 'response_too_large'])
      expect((await act('find', { id: 'after the flood' })).body.status).to.equal('succeeded')
      expect(server.pids).to.have.length(1)
    })

    it('is told when a client takes a read back', async () => {
      const client = await CLIENTS['SDK 2.x, modern']?.(`${gate.gate.url}/mcp/files`, key)
      const left = new AbortController()
      const call = client?.call(
        'find',
        { id: 'left', behave: 'hangs' },
        { signal: left.signal, onprogress: () => {} },
      )
      await until('it is called', () => server.calls('left').length === 1)
      left.abort()
      await call?.catch(() => {})
      await until('it is told', () => server.noted.some(({ cancelled }) => cancelled !== undefined))
      await client?.close()
    })

    it('says of itself what it is and since when it runs', async () => {
      const { body } = await gate.call('GET', '/mcp-servers?look=true')
      const [one] = body.servers
      expect(one).to.include({ name: 'files', url: null, era: 'legacy', error: null })
      expect(one.program).to.equal(process.execPath)
      expect(Date.parse(one.running_since)).to.be.a('number')
    })

    it('waits for a person like any other', async () => {
      const held = await act('erase', { id: 'held' })
      expect(held.status).to.equal(202)
      expect(server.calls('held')).to.have.length(0)
      await gate.call('POST', `/approvals/${held.body.approval.id}/approve`, {
        body: { reason: 'fine' },
      })
      await until('it ran', () => server.calls('held').length === 1)
    })
  })

  describe('when they end', () => {
    const server = new StdioFixture()
    let gate: TestGate
    let key: string
    before(async () => {
      gate = await TestGate.start({
        policies: stdioPolicies({ mcp: { command: server.command() }, ...PATIENT }),
        env: { MCP_COMMANDS: server.allowed },
      })
      key = await gate.agent('calling')
    })
    after(() => gate.stop())
    const act = (tool: string, args: JsonObject) =>
      gate.act(key, { tool: `mcp.files.${tool}`, args })
    const works = (id: string) =>
      until('it is started again', async () => (await act('store', { id })).status === 200)

    it('leave the outcome of a write unknown, and that of a read failed', async () => {
      const write = await act('store', { id: 'died', behave: 'dies' })
      expect([write.status, write.body.error.code]).to.deep.equal([504, 'outcome_unknown'])
      const { action_id: actionId } = write.body.error
      const { body } = await gate.call('GET', `/actions/${actionId}`)
      expect(body.state).to.equal('indeterminate')
      expect(server.calls('died')).to.have.length(1)
    })

    it('are started again, not at once, and a call meanwhile is not sent', async () => {
      const { status, body } = await act('store', { id: 'meanwhile' })
      expect([status, body.error.code]).to.deep.equal([502, 'upstream_unreachable'])
      expect(body.error.message).to.match(/ended with code 3; it may be started again in \d+ s/)
      await works('again')
      expect(server.pids).to.have.length(2)
      expect(server.calls('meanwhile')).to.have.length(0)
      const read = await act('find', { behave: 'dies' })
      expect([read.status, read.body.error.code]).to.deep.equal([502, 'upstream_unreachable'])
    })

    it('are left alone after five times, and somebody is told', async () => {
      for (let n = 3; n <= 5; n++) {
        await works(`life ${n}`)
        await act('store', { id: `death ${n}`, behave: 'dies' })
      }
      const { body } = await act('store', { id: 'too late' })
      const [, seconds = ''] = /again in (\d+) s/.exec(body.error.message) ?? []
      expect(Number(seconds)).to.be.greaterThan(60)
      await until('somebody is told', async () => {
        const { text } = await gate.call('GET', '/api/v1/alerts?type=mcp_server_down')
        return text.includes('`files` ended too often')
      })
      const { body: all } = await gate.call('GET', '/mcp-servers?look=true')
      expect(all.servers[0]).to.include({ running_since: null })
      expect(all.servers[0].error).to.include('ended with code 3')
    })
  })

  it('time out: the outcome of a write is unknown, and the server is told', async () => {
    const server = new StdioFixture()
    const gate = await TestGate.start({
      policies: stdioPolicies({ mcp: { command: server.command() }, timeout_ms: 8_000 }),
      env: { MCP_COMMANDS: server.allowed },
    })
    const key = await gate.agent('waiting')
    const { status, body } = await gate.act(key, {
      tool: 'mcp.files.store',
      args: { id: 'hung', behave: 'hangs' },
    })
    expect([status, body.error.code]).to.deep.equal([504, 'outcome_unknown'])
    await until('it is told', () => server.noted.some(({ cancelled }) => cancelled !== undefined))
    await gate.stop()
  })

  it('are not started where nobody who runs the gate has named them', async () => {
    const server = new StdioFixture()
    const command = server.command()
    const [program = '', script = ''] = command
    const settings = ['', program.slice(0, -1), `${program} ${script} more`, path.dirname(program)]
    for (const commands of settings) {
      const gate = await TestGate.start({
        policies: stdioPolicies({ mcp: { command } }),
        env: { MCP_COMMANDS: commands },
      })
      const key = await gate.agent('refused')
      const { status, body } = await gate.act(key, { tool: 'mcp.files.store', args: { id: '1' } })
      expect([status, body.error.code], commands).to.deep.equal([502, 'upstream_unreachable'])
      expect(body.error.message).to.include('see MCP_COMMANDS')
      await gate.stop()
    }
    expect(server.noted).to.deep.equal([])
  })

  it('say why they do not start', async () => {
    const server = new StdioFixture()
    const bad: readonly (readonly [JsonObject, string])[] = [
      [{ command: ['/nowhere/at/all'] }, 'it does not start: ENOENT'],
      [{ command: server.command(), cwd: '/nowhere/at/all' }, 'it does not start: ENOENT'],
      [
        { command: server.command(), cwd: '/nowhere/at' },
        'it may not run in `/nowhere/at`: see MCP_F',
      ],
      [{ command: server.command(), env: ['NOT_SET_1'] }, 'what is not set: NOT_SET_1'],
      [{ command: server.command('ends') }, 'it ended with code 7'],
    ]
    for (const [mcp, why] of bad) {
      const gate = await TestGate.start({
        policies: stdioPolicies({ mcp, ...PATIENT }),
        env: {
          MCP_COMMANDS: `/nowhere/at/all, ${server.allowed}`,
          MCP_FOLDERS: '/nowhere/at/all',
        },
      })
      const key = await gate.agent('asking')
      const client = await CLIENTS['SDK 1.x']?.(`${gate.gate.url}/mcp/files`, key)
      const failed = await client?.tools().catch((error: Error) => error.message)
      expect(failed, why).to.include(why)
      const called = await client?.call('store', { id: '1' })
      expect(called && errorOf(called).code).to.equal('upstream_unreachable')
      await client?.close()
      await gate.stop()
    }
  })

  it('come and go with the policy, and end with the gate', async () => {
    const [one, other] = [new StdioFixture(), new StdioFixture()]
    const flagged = { command: one.command('nested'), env: ['PATH'] }
    const gate = await TestGate.start({
      policies: stdioPolicies({ mcp: flagged, ...PATIENT }),
      env: { MCP_COMMANDS: one.allowed, PATH: process.env['PATH'] ?? '' },
    })
    const key = await gate.agent('following')
    await gate.act(key, { tool: 'mcp.files.store', args: { id: '1' } })
    const nested = one.noted.find((note) => 'nested' in note)?.['nested'] as number
    expect(isAlive(nested)).to.equal(true)
    const file = path.join(gate.policyDir, 'tools.yaml')
    fs.writeFileSync(file, stdioTools({ mcp: { command: other.command('deaf') }, ...PATIENT }))
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    await until('the new one is asked without a call', () => other.pids.length === 1)
    await until('the old one is gone', () => !one.pids.some(isAlive))
    await until('and what it started', () => !isAlive(nested))
    await gate.act(key, { tool: 'mcp.files.store', args: { id: '2' } })
    expect([one.calls('2').length, other.calls('2').length]).to.deep.equal([0, 1])
    // It listens neither to the end of its input nor to a polite signal.
    expect(other.pids.every(isAlive)).to.equal(true)
    await gate.stop()
    expect(other.noted).to.deep.include({ told: other.pids[0] })
    expect(other.pids.some(isAlive)).to.equal(false)
  })

  it('end with a gate that is killed', async () => {
    const server = new StdioFixture()
    const dir = scratch('killed')
    const [dataDir, policyDir] = [path.join(dir, 'data'), path.join(dir, 'policies')]
    fs.mkdirSync(dataDir, { mode: 0o700 })
    await prepareEmbedded(dataDir)
    writePolicies(policyDir, stdioPolicies({ mcp: { command: server.command() }, ...PATIENT }))
    const port = await freePort()
    const env = { DATA_DIR: dataDir, POLICY_DIR: policyDir, MCP_COMMANDS: server.allowed }
    const gate = new GateProcess(port, { ...env, TICKETING_API_URL: 'http://127.0.0.1:9' }, dir)
    await gate.start()
    await until('it is started', () => server.pids.length === 1)
    await gate.kill('SIGKILL')
    await until('it is gone', () => !server.pids.some(isAlive))
  })
})
