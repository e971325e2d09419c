import { expect } from 'chai'
import { type Command, CommanderError } from 'commander'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { portcullis } from '../../src/cli/program.ts'
import { pointToHelp } from '../../src/cli/run.ts'
import { scratch } from '../support/scratch.ts'
import { freePort } from '../support/gate-process.ts'

const BIN = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command in this process as far as its arguments go, which is where mistakes end. */
async function tried(args: readonly string[]): Promise<Said> {
  const program = portcullis()
  let [out, err] = ['', '']
  const listen = (command: Command) => {
    command.exitOverride().configureOutput({
      writeOut: (text) => (out += text),
      writeErr: (text) => (err += text),
    })
    for (const one of command.commands) listen(one)
  }
  listen(program)
  pointToHelp(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return { code: 0, out, err }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return { code: error.exitCode === 0 ? 0 : 2, out, err }
  }
}

/** Every command that does something, as its words. */
function leaves(command: Command, words: readonly string[] = []): string[][] {
  const inner = command.commands.filter((one) => !one.name().startsWith('__'))
  if (inner.length === 0) return [[...words]]
  return inner.flatMap((one) => leaves(one, [...words, one.name()]))
}

const COMMANDS = leaves(portcullis())

function run(args: readonly string[], env: Record<string, string> = {}, cwd = scratch('cwd')) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    cwd,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], NO_COLOR: '1', ...env },
  })
  return { status, stdout, stderr }
}

describe('Every command', function () {
  this.timeout(300_000)

  for (const words of COMMANDS) {
    it(`\`${words.join(' ')}\` says what it is and takes, and what to do about a wrong flag`, async () => {
      const help = await tried([...words, '--help'])
      expect(help.code).to.equal(0)
      expect(help.out).to.match(new RegExp(`^Usage: portcullis ${words.join(' ')}`))
      expect(help.out.split('\n\n').length).to.be.greaterThan(1)
      const wrong = await tried([...words, '--helb'])
      expect(wrong.code).to.equal(2)
      expect(wrong.err)
        .to.match(/unknown option '--helb'|required option/) // what is lacking is said first
        .and.include(`run \`portcullis ${words.join(' ')} --help\``)
    })
  }

  it('that is mistyped is answered with the one that may have been meant', async () => {
    for (const [args, meant] of [
      [['aprovals'], 'approvals'],
      [['approvals', 'aprove', 'x'], 'approve'],
      [['kill', 'onn'], 'on'],
      [['logs', 'tial'], 'tail'],
    ] as const) {
      const { code, err } = await tried(args)
      expect(code).to.equal(2)
      expect(err).to.include('Did you mean').and.include(meant)
    }
  })

  it('that lacks what it needs says what', async () => {
    for (const [args, what] of [
      [['approvals', 'approve'], "argument 'id'"],
      [['kill', 'on'], '--reason'],
      [['actions', 'settle', 'act_1', '--reason', 'x'], '--outcome'],
      [['actions', 'settle', 'act_1', '--reason', 'x', '--outcome', 'maybe'], 'succeeded, failed'],
      [['approvals', 'list', '--status', 'open'], 'pending'],
    ] as const) {
      const { code, err } = await tried(args)
      expect([code, err]).to.satisfy(
        ([status, text]: [number, string]) => status === 2 && text.includes(what),
      )
    }
  })

  it('that asks a gate says in one line that none answers, and where it looked', async () => {
    const port = String(await freePort())
    const asks = [
      ...[
        ['approvals', 'list'],
        ['approvals', 'show', 'apr_1'],
        ['approvals', 'approve', 'act_1'],
      ],
      ...[
        ['kill', 'status'],
        ['kill', 'on', '--reason', 'x'],
        ['agents', 'list'],
      ],
      ...[
        ['agents', 'pause', 'ann'],
        ['actions', 'list'],
        ['logs', 'tail'],
        ['keys', 'list'],
      ],
    ]
    for (const args of asks) {
      const { status, stdout, stderr } = run(args, { PORT: port, PORTCULLIS_KEY: 'pk_x' })
      expect([status, stdout], args.join(' ')).to.deep.equal([1, ''])
      expect(stderr.trim().split('\n')).to.have.length(1)
      expect(stderr).to.include(`http://127.0.0.1:${port}`).and.include('PORTCULLIS_URL')
    }
  })
})

describe('A folder for a gate', function () {
  this.timeout(300_000)

  it('is asked for by name where there are no policies', () => {
    const started = run(['start'])
    expect([started.status, started.stdout]).to.deep.equal([3, ''])
    expect(started.stderr).to.include('`portcullis init`').and.include('POLICY_DIR')
    expect(run(['check']).stderr).to.equal('no directory policies; `portcullis init` makes one\n')
  })

  it('is made with policies that hold, schemas that its files name, and secrets of its own', () => {
    const [one, other] = [scratch('init'), scratch('init')]
    for (const cwd of [one, other]) expect(run(['init'], {}, cwd).status).to.equal(0)
    expect(run(['check', '--strict'], {}, one).status).to.equal(0)
    expect(run(['test', '--require'], {}, one).stdout).to.match(/ 0 failed/)
    expect(run(['rego', 'fmt', 'policies', '--list'], {}, one).status).to.equal(0)
    for (const file of ['gate.yaml', 'tools.yaml']) {
      const text = fs.readFileSync(path.join(one, 'policies', file), 'utf8')
      const [, schema = ''] = /\$schema=(\S+)/.exec(text) ?? []
      expect(fs.existsSync(path.join(one, 'policies', schema)), schema).to.equal(true)
    }
    const envs = [one, other].map((dir) => fs.readFileSync(path.join(dir, '.env'), 'utf8'))
    expect(envs[0]).to.match(/^API_TOKENS=admin:admin:(pk_\S{32})$/m)
    expect(envs[0]).to.not.equal(envs[1])
    expect(fs.statSync(path.join(one, '.env')).mode & 0o077).to.equal(0)
    expect(fs.readFileSync(path.join(one, '.gitignore'), 'utf8')).to.match(/^\.env$/m)
  })

  const PETS = `openapi: 3.0.3
info: { title: Swagger Petstore - OpenAPI 3.0, version: 1.0.0 }
servers: [{ url: 'http://pets.example/v1' }]
paths:
  /pets:
    get: { operationId: listPets }
    post: { operationId: createPet }
  /pets/{petId}:
    delete: { operationId: deletePet, parameters: [{ name: petId, in: path, required: true, schema: {} }] }
components: { securitySchemes: { key: { type: apiKey, in: header, name: api_key } } }
`

  it('is made for the API of a document: reading is allowed, writing waits, undoing nothing is refused', () => {
    const cwd = scratch('init')
    fs.writeFileSync(path.join(cwd, 'pets.yaml'), PETS)
    const made = run(['init', 'gate', '--from', 'pets.yaml'], {}, cwd)
    expect(made.status, made.stderr).to.equal(0)
    expect(made.stderr).to.equal('3 of 3 operations are tools\n')
    expect(made.stdout).to.match(/^ {2}portcullis agents create my-agent --role assistant {3}in /m)
    const dir = path.join(cwd, 'gate')
    const checked = run(['check', '--strict'], {}, dir)
    expect(checked.status, checked.stderr).to.equal(0)
    expect(run(['test', '--require'], {}, dir).status).to.not.equal(0)
    const text = (name: string) => fs.readFileSync(path.join(dir, name), 'utf8')
    expect(text('policies/tools.yaml')).to.include('petstore:').and.include('header: api_key')
    expect(text('policies/gate.yaml')).to.match(/tools: \[ listPets \]\n +effect: allow$/m)
    expect(text('policies/gate.yaml')).to.match(/tools: \[ createPet \]\n +effect: require_app/m)
    expect(text('policies/gate.yaml')).to.match(/^ {2}# {3}tools: \[ deletePet \]$/m)
    expect(text('.env'))
      .to.match(/^DEMO=off$/m)
      .and.match(/^PETSTORE_API_KEY=$/m)
    expect(text('.env')).to.match(/^# PETSTORE_URL=http:\/\/pets\.example\/v1$/m)
  })

  it('is not made for a document that is none', () => {
    const cwd = scratch('init')
    fs.writeFileSync(path.join(cwd, 'note.txt'), 'nothing: of\nthe: kind\n')
    for (const from of ['nowhere.yaml', 'note.txt']) {
      const { status, stdout, stderr } = run(['init', '--from', from], {}, cwd)
      expect([status, stdout, stderr.trim().split('\n').length], stderr).to.deep.equal([2, '', 1])
      expect(stderr).to.include(from)
    }
    expect(fs.readdirSync(cwd)).to.deep.equal(['note.txt'])
  })

  it('is refused where there are policies, and keeps the settings of others', () => {
    const cwd = scratch('init')
    fs.writeFileSync(path.join(cwd, '.env'), 'DATABASE_PASSWORD=x\nAPI_TOKENS=admin:me:hush-hush')
    fs.writeFileSync(path.join(cwd, '.gitignore'), 'logs/')
    expect(run(['init'], {}, cwd).status).to.equal(0)
    const env = fs.readFileSync(path.join(cwd, '.env'), 'utf8')
    expect(env).to.match(/^DATABASE_PASSWORD=x\nAPI_TOKENS=admin:me:hush-hush\nWEBHOOK_SECRET=/)
    expect(env).to.not.include('PORTCULLIS_KEY')
    expect(fs.readFileSync(path.join(cwd, '.gitignore'), 'utf8')).to.match(/^logs\/\n\.env\n/)
    const again = run(['init'], {}, cwd)
    expect([again.status, again.stdout]).to.deep.equal([2, ''])
    expect(again.stderr).to.include('policies/gate.yaml is there already')
    expect(fs.readFileSync(path.join(cwd, '.env'), 'utf8')).to.equal(env)
  })

  it('may be named, and one that cannot be written is said to be', () => {
    const cwd = scratch('init')
    const { status, stdout } = run(['init', 'gates/first'], {}, cwd)
    expect([status, stdout.includes('cd gates/first')]).to.deep.equal([0, true])
    fs.writeFileSync(path.join(cwd, 'file'), '')
    const { status: code, stderr } = run(['init', 'file/x'], {}, cwd)
    expect([code, stderr.trim().split('\n').length]).to.deep.equal([2, 1])
    expect(stderr).to.include('cannot be written')
  })

  it('has a .env that commands and the gate read, wherever the package is', async () => {
    const cwd = scratch('init')
    const port = await freePort()
    fs.writeFileSync(path.join(cwd, '.env'), `PORT=${port}\nPORTCULLIS_KEY=pk_x\n`)
    const { stderr } = run(['keys', 'list'], {}, cwd)
    expect(stderr).to.include(`http://127.0.0.1:${port};`)
  })
})

describe('Completion', function () {
  this.timeout(300_000)

  const offered = (...words: string[]) => {
    const { stdout } = run(['__complete', '--', ...words], { PORT: '1', PORTCULLIS_KEY: 'x' })
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[0])
  }

  it('offers subcommands, options and their values', () => {
    expect(offered('ap')).to.deep.equal(['approvals'])
    expect(offered('kill', '')).to.include.members(['on', 'off', 'status'])
    expect(offered('kill', 'on', '--')).to.include.members(['--agent', '--reason', '--json'])
    expect(offered('approvals', 'list', '--status', 'pe')).to.deep.equal(['pending'])
    expect(offered('completion', '')).to.deep.equal(['bash', 'zsh', 'fish'])
    expect(offered('agents', 'pause', '')).to.deep.equal([''])
  })

  it('is a script for bash, zsh and fish that its shell takes, and for no other', () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { status, stdout } = run(['completion', shell])
      expect(status).to.equal(0)
      const file = path.join(scratch('completion'), `portcullis.${shell}`)
      fs.writeFileSync(file, stdout)
      const { error, status: taken, stderr } = spawnSync(shell, ['-n', file])
      if (error) console.log(`      ${shell} is not on this machine: its script was not read by it`)
      else expect(taken, String(stderr)).to.equal(0)
    }
    const { status, stderr } = run(['completion', 'bsh'])
    expect([status, stderr]).to.deep.equal([2, 'no completion for `bsh`; did you mean `bash`?\n'])
  })

  it('completes in bash', () => {
    const bin = scratch('bin')
    fs.writeFileSync(
      path.join(bin, 'portcullis'),
      `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`,
      { mode: 0o755 },
    )
    const script = `
eval "$(portcullis completion bash)"
COMP_WORDS=(portcullis approvals ap) COMP_CWORD=2
_portcullis
printf '%s\\n' "\${COMPREPLY[@]}"
`
    const env = { PATH: `${bin}:${process.env['PATH']}` }
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { env, encoding: 'utf8' })
    expect(stdout, stderr).to.equal('approve\n')
  })
})
