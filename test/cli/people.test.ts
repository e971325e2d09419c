import { expect } from 'chai'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const BIN = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

interface Run {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

describe('What people do with a running gate', function () {
  this.timeout(600_000)
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'gate.yaml': GATE } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  const started = (args: readonly string[], as: string) =>
    spawn(process.execPath, [BIN, ...args], {
      cwd: scratch('cwd'),
      env: {
        PATH: process.env['PATH'],
        NO_COLOR: '1',
        PORTCULLIS_URL: gate.gate.url,
        PORTCULLIS_KEY: as,
      },
    })

  function run(args: readonly string[], as = ADMIN): Promise<Run> {
    const child = started(args, as)
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })))
  }

  it('says that an approved action may have happened when its outcome is unknown', async () => {
    const { approval, action } = await held('unknown')
    gate.upstream.behave = (_, res) => void res.destroy()
    const { code, err } = await run(['approvals', 'approve', approval])
    expect([code, err]).to.deep.equal([
      5,
      `outcome_unknown: it may have happened; look, then \`portcullis actions settle ${action}\`\n`,
    ])
    gate.upstream.behave = (_, res) => reply(res, 200, {})
    const how = ['--outcome', 'succeeded', '--reason', 'seen']
    expect((await run(['actions', 'settle', action, ...how])).code).to.equal(0)
  })

  it('makes an agent and prints its key alone', async () => {
    const args = ['agents', 'create', 'made-by-hand', '--role', 'worker', '--owner', 'ada']
    const made = await run(args)
    expect(made.code, made.err).to.equal(0)
    const { status } = await gate.act(made.out.trim(), { tool: 'items.get', args: { id: '1' } })
    expect(status).to.equal(200)
    expect((await run(['agents', 'show', 'made-by-hand'])).out).to.match(/^owner +ada$/m)
    const again = await run(args)
    expect([again.code, again.out]).to.deep.equal([1, ''])
    expect(again.err).to.include('an agent named `made-by-hand` exists already')
    expect((await run(['agents', 'pause', 'made-by-hand'])).code).to.equal(0)
  })

  it('ends in silence when whoever read it has read enough', async () => {
    for (const args of [['keys', 'list'], ['logs', 'tail'], ['--help']]) {
      const child = started(args, ADMIN)
      child.stdout.destroy()
      let err = ''
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
      const code = await new Promise((resolve) => child.once('close', resolve))
      expect([args[0], code, err]).to.deep.equal([args[0], 0, ''])
    }
  })

  async function held(id: string): Promise<{ action: string; approval: string }> {
    const { body } = await gate.act(key, {
      tool: 'items.delete',
      args: { id },
      reason: 'it is \u001b[31mold',
    })
    return { action: body.action_id, approval: body.approval.id }
  }

  it('lists, shows and approves what is held, by the approval or by its action', async () => {
    const { action, approval } = await held('7')
    const listed = await run(['approvals', 'list'])
    expect(listed.out).to.match(
      new RegExp(`^${approval} +worker-1 +items.delete +\\{"id":"7"\\} +pending`, 'm'),
    )
    for (const id of [approval, action]) {
      const shown = await run(['approvals', 'show', id])
      expect(shown.out).to.match(/^would send +DELETE \/items\/7 to test$/m)
      expect(shown.out, 'nothing steers the terminal').to.include('it is \\u{1b}[31mold')
    }
    const approved = await run(['approvals', 'approve', action, '--reason', 'fine'])
    expect([approved.code, approved.out]).to.deep.equal([0, 'approved; items.delete succeeded\n'])
    const { body } = await gate.call('GET', `/approvals/${approval}`)
    expect(body.votes[0].reason).to.equal('fine')
    const again = await run(['approvals', 'approve', approval])
    expect([again.code, again.err.startsWith('conflict: ')]).to.deep.equal([1, true])
    const shown = await run(['actions', 'show', action])
    expect(shown.out).to.match(/^approval +approved by tester, fine, apr_/m)
  })

  it('denies it, and says what the gate says to a key that may not vote', async () => {
    const { approval } = await held('8')
    const refused = await run(['approvals', 'deny', approval], key)
    expect([refused.code, refused.err]).to.satisfy(
      ([code, text]: [number, string]) => code === 1 && text.startsWith('forbidden: '),
    )
    const denied = await run(['approvals', 'deny', approval, '--json'])
    expect([denied.code, JSON.parse(denied.out).approval.status]).to.deep.equal([0, 'denied'])
    const empty = await run(['approvals', 'list'])
    expect([empty.code, empty.out, empty.err]).to.deep.equal([0, '', 'nothing is pending\n'])
  })

  it('throws the kill switch for everything and for an agent, and says what is engaged', async () => {
    const mistyped = await run(['kill', 'on', '--agent', 'worker-2', '--reason', 'x'])
    expect([mistyped.code, mistyped.err]).to.deep.equal([
      1,
      'there is no agent `worker-2`; did you mean `worker-1`?\n',
    ])
    expect((await run(['kill', 'status'])).out).to.equal('no switch is engaged\n')
    const on = await run(['kill', 'on', '--agent', 'worker-1', '--reason', 'drill'])
    expect([on.code, on.out]).to.deep.equal([
      0,
      'engaged for agent worker-1: no further effect starts\n',
    ])
    const { body } = await gate.act(key, { tool: 'items.list', args: {} })
    expect(body.error.code).to.equal('kill_switch_engaged')
    expect((await run(['kill', 'status'])).out).to.match(/^agent worker-1 +drill +tester /m)
    await run(['kill', 'off', '--agent', 'worker-1', '--reason', 'over'])
    const all = await run(['kill', 'on', '--reason', 'drill'])
    expect(all.out).to.equal('engaged for everything: no further effect starts\n')
    expect(JSON.parse((await run(['kill', 'status', '--json'])).out).engaged).to.equal(true)
    expect((await run(['kill', 'off', '--reason', 'over'])).code).to.equal(0)
  })

  it('lists, shows, pauses and resumes agents by their names', async () => {
    expect((await run(['agents', 'list'])).out).to.match(
      /^worker-1 +agt_\w+ +active +worker +tests/m,
    )
    expect((await run(['agents', 'pause', 'worker-1', '--reason', 'odd'])).out).to.equal(
      'worker-1 is paused\n',
    )
    expect((await run(['agents', 'show', 'worker-1'])).out).to.match(/^status +paused: odd$/m)
    expect((await run(['agents', 'list', '--status', 'active'])).err).to.equal(
      'no agent is like that\n',
    )
    expect((await run(['agents', 'resume', 'worker-1'])).out).to.equal('worker-1 is active\n')
    const { code, err } = await run(['agents', 'show', 'quite-another'])
    expect([code, err]).to.deep.equal([
      1,
      'there is no agent `quite-another`; `portcullis agents list` shows them\n',
    ])
  })

  it('lists and shows actions, and settles one whose outcome nobody knows', async () => {
    gate.upstream.behave = (_, res) => void res.destroy()
    const { body } = await gate.act(key, { tool: 'items.update', args: { id: '9', note: 'x' } })
    const id = body.error.action_id
    const listed = await run([
      'actions',
      'list',
      '--status',
      'indeterminate',
      '--agent',
      'worker-1',
    ])
    expect(listed.out).to.match(new RegExp(`^${id} .* worker-1 +items.update +indeterminate`, 'm'))
    const lacking = await run(['actions', 'settle', id, '--outcome', 'succeeded'])
    expect([lacking.code, lacking.err.includes('--reason')]).to.deep.equal([2, true])
    const settled = await run([
      'actions',
      'settle',
      id,
      '--outcome',
      'failed',
      '--reason',
      'looked',
    ])
    expect([settled.code, settled.out]).to.deep.equal([0, 'items.update failed\n'])
    const { code, err } = await run(['actions', 'show', 'act_none'])
    expect([code, err.trim()]).to.deep.equal([1, 'not_found: there is no action `act_none`'])
  })

  it('revokes a key by the name of its holder, where that is one key', async () => {
    await gate.key('observer', 'grace')
    const mistyped = await run(['keys', 'revoke', 'grce'])
    expect(mistyped.err).to.equal('no live key is named `grce`; did you mean `grace`?\n')
    expect((await run(['keys', 'revoke', 'grace'])).code).to.equal(0)
    expect((await run(['keys', 'list'])).out).to.match(/\tgrace\trevoked$/m)
    await gate.key('observer', 'twin')
    await gate.key('observer', 'twin')
    expect((await run(['keys', 'revoke', 'twin'])).err).to.match(/^2 live keys are named `twin`/)
  })

  it('follows the record: the last entries, then each new one once, and ends at Ctrl-C', async () => {
    await gate.agent('before')
    const past = await run(['logs', 'tail', '-n', '1', '--no-follow'])
    expect(past.out).to.match(/^\S+ \S+ \d+ agent\.created maker .*name=before/)
    const child = started(['logs', 'tail', '-n', '3', '--json'], ADMIN)
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const seen = () =>
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    await until('the last three', () => seen().length === 3)
    await gate.agent('after')
    await until('the new one', () => seen().some((entry) => entry.name === 'after'))
    const numbers = seen().map((entry) => Number(entry.seq))
    expect(numbers).to.deep.equal(numbers.map((_, at) => (numbers[0] ?? 0) + at))
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGINT')
    await ended
    const typed = await run(['logs', 'tail', '--types', 'kill_switch', '--no-follow', '-n', '100'])
    expect(
      typed.out
        .trim()
        .split('\n')
        .every((line) => line.includes(' kill_switch.')),
    ).to.equal(true)
  })
})
