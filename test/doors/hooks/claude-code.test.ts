import { spawn } from 'node:child_process'
import http, { type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { TestGate } from '../../support/gate.ts'
import { GATE, writePolicies } from '../../support/policies.ts'

const BIN = path.resolve(import.meta.dirname, '../../../bin/portcullis.js')

const POLICY = `package agent

allow if input.action.name == "claude.Read"

allow if {
	input.action.name == "claude.Bash"
	startswith(input.action.properties.command, "ls")
	startswith(input.context.cwd, "/home/me/project")
}

allow if input.action.name == "claude.WebFetch"

require_approval contains "somebody looks at the address" if input.action.name == "claude.WebFetch"
`
const GATE_YAML = `${GATE}
decision_api:
  actions: { claude.Read: {}, claude.Bash: {}, claude.WebFetch: {}, claude.Write: {} }
`
const asked = (tool: string, input: object = {}) => ({
  session_id: 's-1',
  transcript_path: '/home/me/.claude/t.jsonl',
  cwd: '/home/me/project',
  permission_mode: 'default',
  hook_event_name: 'PreToolUse',
  tool_name: tool,
  tool_input: input,
  tool_use_id: 'toolu_1',
  of_a_later_version: true,
})

describe('the PreToolUse hook of Claude Code', function () {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'agent.rego': POLICY, 'gate.yaml': GATE_YAML } })
    key = await gate.agent('coder')
  })
  after(() => gate.stop())

  const ask = (body: unknown, as: string | null = key) => askAt('/hooks/claude-code', as, body)
  const askAt = async (where: string, as: string | null, body: unknown = asked('Read')) => {
    const answer = await gate.call('POST', where, { key: as, body })
    const { permissionDecision, permissionDecisionReason } = answer.body.hookSpecificOutput ?? {}
    return {
      status: answer.status,
      decision: permissionDecision as string,
      why: permissionDecisionReason as string,
    }
  }

  it('leaves an allowed tool to the permissions of the client', async () => {
    expect((await ask(asked('Read', { file_path: '/home/me/project/a' }))).decision).to.equal(
      'defer',
    )
    expect((await ask(asked('Bash', { command: 'ls -l' }))).decision).to.equal('defer')
  })

  it('denies what no rule allows, and says why', async () => {
    const bash = await ask(asked('Bash', { command: 'rm -rf /' }))
    expect(bash.decision).to.equal('deny')
    expect(bash.why).to.match(/^no_permission \(dec_\w+\): /)
    const elsewhere = { ...asked('Bash', { command: 'ls' }), cwd: '/etc' }
    expect((await ask(elsewhere)).decision).to.equal('deny')
    expect((await ask(asked('Task'))).why).to.contain('no_such_action')
  })

  it('denies what a person must approve first', async () => {
    const fetched = await ask(asked('WebFetch', { url: 'https://example.com' }))
    expect(fetched.decision).to.equal('deny')
    expect(fetched.why).to.contain('somebody looks at the address')
  })

  it('answers its own refusals with 200 and a denial, for clients that go on where a hook fails', async () => {
    for (const [says, answer] of [
      ['no key', ask(asked('Read'), null)],
      ['a wrong key', ask(asked('Read'), 'no-such-key')],
      ['a key of a person', ask(asked('Read'), undefined)],
      ['another event', ask({ ...asked('Read'), hook_event_name: 'PostToolUse' })],
      ['no tool', ask({ hook_event_name: 'PreToolUse' })],
      ['a slash behind the path', askAt('/hooks/claude-code/', 'no-such-key')],
    ] as const) {
      const { status, decision } = await answer
      expect([status, says === 'a key of a person' ? 'deny' : decision], says).to.deep.equal([
        200,
        'deny',
      ])
    }
    const admin = await gate.call('POST', '/hooks/claude-code', { body: asked('Read') })
    expect(admin.body.hookSpecificOutput.permissionDecision).to.equal('deny')
  })

  it('denies under the kill switch', async () => {
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', { body: { engaged, scope: {}, reason: 'a test' } })
    await kill(true)
    expect((await ask(asked('Read'))).why).to.contain('kill_switch_engaged')
    await kill(false)
    expect((await ask(asked('Read'))).decision).to.equal('defer')
  })

  it('records who asked about which tool', async () => {
    await ask(asked('Bash', { command: 'ls -a' }))
    const route = '/audit/timeline?kind=decision&limit=1'
    const [entry] = (await gate.call('GET', route)).body.entries
    expect(entry).to.include({ surface: 'claude_code', enforced_by: 'caller', tool: 'claude.Bash' })
    expect(entry.args).to.deep.equal({ command: 'ls -a' })
  })

  describe('as a command', () => {
    const run = async (stdin: string, env: Record<string, string> = {}) => {
      const child = spawn(process.execPath, [BIN, 'hook', 'claude'], {
        env: { ...process.env, PORTCULLIS_URL: gate.gate.url, PORTCULLIS_KEY: key, ...env },
      })
      child.stdin.end(stdin)
      const [stdout, stderr, code] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        new Promise<number | null>((resolve) => child.once('close', resolve)),
      ])
      return { stdout, stderr, code }
    }

    it('prints what the gate decided', async () => {
      const { stdout, code } = await run(JSON.stringify(asked('Read')))
      expect(code).to.equal(0)
      expect(JSON.parse(stdout).hookSpecificOutput.permissionDecision).to.equal('defer')
    })

    for (const [says, answer] of [
      ['never answers', () => {}],
      ['begins an answer and never ends it', (res) => res.writeHead(200).write('{')],
      [
        'answers something else',
        (res) => res.end('{"hookSpecificOutput":{"permissionDecision":"allow"}}'),
      ],
    ] as readonly (readonly [string, (res: ServerResponse) => void])[]) {
      it(`exits 2, which blocks, where the gate ${says}`, async () => {
        const server = http.createServer((_req, res) => answer(res))
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
        const { port } = server.address() as AddressInfo
        const { code, stdout } = await run(JSON.stringify(asked('Read')), {
          PORTCULLIS_URL: `http://127.0.0.1:${port}`,
        })
        expect([code, stdout]).to.deep.equal([2, ''])
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      })
    }

    it('exits 2, which blocks, where there is no gate or nothing was asked', async () => {
      const none = await run(JSON.stringify(asked('Read')), {
        PORTCULLIS_URL: 'http://127.0.0.1:9',
      })
      expect(none.code).to.equal(2)
      expect(none.stderr).to.contain('no gate answers')
      expect((await run('not JSON')).code).to.equal(2)
      expect((await run('')).code).to.equal(2)
    })
  })

  it('is answered as the policy says that decided it, whatever is loaded meanwhile', async () => {
    const reloaded = await TestGate.start({
      policies: { 'agent.rego': POLICY, 'gate.yaml': GATE_YAML },
    })
    try {
      const agent = await reloaded.agent('coder')
      const { policies } = reloaded.gate
      const before = policies.current
      writePolicies(reloaded.policyDir, {
        'agent.rego': POLICY.replace('allow if input.action.name == "claude.Read"', ''),
        'gate.yaml': `${GATE_YAML}  claude_code: { grant: true }\n`,
      })
      expect((await reloaded.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
      const after = policies.current
      // As if the reload came right after the decision had begun.
      const given = [before]
      Object.defineProperty(policies, 'current', { get: () => given.shift() ?? after })
      const body = asked('Read')
      const { hookSpecificOutput: said } = (
        await reloaded.call('POST', '/hooks/claude-code', { key: agent, body })
      ).body
      expect(said.permissionDecision).to.equal('defer')
      const next = await reloaded.call('POST', '/hooks/claude-code', { key: agent, body })
      expect(next.body.hookSpecificOutput.permissionDecision).to.equal('deny')
    } finally {
      await reloaded.stop()
    }
  })

  it('grants, or asks the person in front of it, where the policy says so', async () => {
    const files = {
      'agent.rego': POLICY,
      'gate.yaml': `${GATE_YAML}  claude_code: { grant: true, local_ask: true }\n`,
    }
    const granting = await TestGate.start({ policies: files })
    try {
      const agent = await granting.agent('coder')
      const decide = async (tool: string) =>
        (await granting.call('POST', '/hooks/claude-code', { key: agent, body: asked(tool) })).body
          .hookSpecificOutput.permissionDecision
      expect(await decide('Read')).to.equal('allow')
      expect(await decide('WebFetch')).to.equal('ask')
      expect(await decide('Write')).to.equal('deny')
    } finally {
      await granting.stop()
    }
  })
})
