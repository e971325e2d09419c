import { expect } from 'chai'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import pg from 'pg'
import { AuthorizationServer } from '../support/authorization-server.ts'
import { postgresBin, PostgresServer, prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort } from '../support/gate-process.ts'
import { ADMIN, TestGate } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'

const BIN = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built command as a user does, with nothing of this process's environment. */
function portcullis(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', DEMO: 'off', ...env },
      cwd: scratch('cwd'),
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

function policies(files: Record<string, string> = {}): string {
  const dir = path.join(scratch('policies'), 'policies')
  writePolicies(dir, files)
  return dir
}

const BROKEN = { 'gate.yaml': GATE.replace('effect: allow', 'effect: alow') }

describe('portcullis', function () {
  this.timeout(600_000)

  describe('usage', () => {
    it('prints its help and exits 0', async () => {
      const { code, stdout } = await portcullis(['--help'])
      expect(code).to.equal(0)
      for (const name of ['start', 'demo', 'check', 'keys', 'audit', 'doctor']) {
        expect(stdout).to.match(new RegExp(`^  ${name} `, 'm'))
      }
    })

    it('exits 2 for an unknown command or option, and says what may have been meant', async () => {
      const command = await portcullis(['chek'])
      expect([command.code, command.stdout]).to.deep.equal([2, ''])
      expect(command.stderr).to.match(/unknown command 'chek'[^]*Did you mean check\?/)
      const option = await portcullis(['check', '--jsn'])
      expect(option.code).to.equal(2)
      expect(option.stderr).to.match(/unknown option '--jsn'[^]*Did you mean --json\?/)
      expect((await portcullis(['keys', 'create', '--role', 'admin'])).code).to.equal(2)
      expect((await portcullis([])).code).to.equal(2)
    })

    it('exits 2 for a bad environment, with every mistake and no stack', async () => {
      const { code, stderr } = await portcullis(['start'], { PORT: 'x', LOG_LEVEL: 'loud' })
      expect(code).to.equal(2)
      expect(stderr).to.include('PORT must be').and.include('LOG_LEVEL must be')
      expect(stderr).to.not.match(/^ +at /m)
    })
  })

  describe('check', () => {
    it('shows no line of a file that a link leads to outside the directory', async () => {
      const dir = scratch('linked')
      fs.writeFileSync(path.join(dir, 'gate.yaml'), 'version: 1\nenvironment: test\n')
      fs.symlinkSync('/etc/passwd', path.join(dir, 'b.yaml'))
      const { code, stderr } = await portcullis(['check', dir])
      expect(code).to.equal(3)
      expect(stderr).to.include('leads out of the policy directory').and.not.include('root:')
    })

    it('takes warnings for errors when it is to be strict', async () => {
      const dir = policies({ 'gat.yaml': 'x: 1\n' })
      const mild = await portcullis(['check', dir])
      expect([mild.code, mild.stderr]).to.satisfy(
        ([code, text]: [number, string]) => code === 0 && text.includes('warning[unknown_file]'),
      )
      const strict = await portcullis(['check', dir, '--strict'])
      expect(strict.code).to.equal(3)
      expect(strict.stderr).to.include('error[unknown_file]')
      const { code, stdout } = await portcullis(['check', dir, '--strict', '--json'])
      expect([code, JSON.parse(stdout).valid]).to.deep.equal([3, false])
      expect((await portcullis(['check', policies(), '--strict'])).code).to.equal(0)
    })

    it('exits 0 for a directory that loads, and names its revision', async () => {
      const { code, stdout } = await portcullis(['check', policies()])
      expect(code).to.equal(0)
      expect(stdout).to.match(/: ok, revision [0-9a-f]{12}, 2 files, \d+ guards, 6 tools\n$/)
    })

    it('exits 0 for the policies that are shipped', async () => {
      const shipped = path.resolve(BIN, '..', '..', 'policies')
      expect((await portcullis(['check', shipped])).code).to.equal(0)
    })

    it('exits 3 for one that does not, with the line, a caret under it, and what was meant', async () => {
      const { code, stdout, stderr } = await portcullis(['check', policies(BROKEN)])
      expect([code, stdout]).to.deep.equal([3, ''])
      expect(stderr).to.include('gate.yaml:5')
      expect(stderr).to.match(/\| +- \{ roles: \[worker\].*effect: alow \}\n.*\| +\^/)
      expect(stderr).to.match(/allow/)
      expect(stderr).to.not.match(/^ +at /m)
    })

    it('says the same as JSON', async () => {
      const bad = await portcullis(['check', policies(BROKEN), '--json'])
      expect(bad.code).to.equal(3)
      const { valid, diagnostics } = JSON.parse(bad.stdout)
      expect(valid).to.equal(false)
      expect(diagnostics[0]).to.include({ file: 'gate.yaml', line: 5, severity: 'error' })
      const good = await portcullis(['check', policies(), '--json'])
      expect(JSON.parse(good.stdout)).to.deep.equal({ valid: true, diagnostics: [] })
    })

    it('exits 2 for a directory that is not there', async () => {
      const { code, stderr } = await portcullis(['check', '/nowhere/at/all'])
      expect([code, stderr]).to.deep.equal([2, 'no directory /nowhere/at/all\n'])
    })
  })

  describe('start', () => {
    const env = (more: Record<string, string> = {}) => ({
      DATA_DIR: scratch('data'),
      POLICY_DIR: policies(),
      LOG_FILE: '',
      LOG_LEVEL: 'silent',
      ...more,
    })

    it('exits 3 when the policies do not load, with the same frames as check', async () => {
      const { code, stderr } = await portcullis(['start'], env({ POLICY_DIR: policies(BROKEN) }))
      expect(code).to.equal(3)
      expect(stderr).to.match(/effect: alow \}\n.*\| +\^/)
    })

    it('exits 3 without any policies', async () => {
      const { code, stderr } = await portcullis(['start'], env({ POLICY_DIR: '/nowhere/at/all' }))
      expect(code).to.equal(3)
      expect(stderr).to.not.match(/^ +at /m)
    })

    it('exits 1 when the port is taken, and says which', async () => {
      const server = net.createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as net.AddressInfo
      const dataDir = scratch('data')
      await prepareEmbedded(dataDir)
      const taken = env({ PORT: String(port), DATA_DIR: dataDir })
      const { code, stderr } = await portcullis(['start'], taken)
      server.close()
      expect(code).to.equal(1)
      expect(stderr).to.include(`port ${port} is in use; set PORT to another one`)
      expect(stderr).to.not.match(/^ +at /m)
    })

    it('exits 1 when the database cannot be reached, without its password', async () => {
      const port = await freePort()
      const url = `postgres://user:sesame-open@127.0.0.1:${port}/db`
      const { code, stderr } = await portcullis(['start'], env({ DATABASE_URL: url }))
      expect(code).to.equal(1)
      expect(stderr).to.include('ECONNREFUSED').and.not.include('sesame-open')
    })
  })

  describe('a prebuilt bundle', () => {
    const withBundle = async (): Promise<string> => {
      const dir = policies()
      const source = path.join(scratch('rego'), 'agent.rego')
      fs.writeFileSync(source, 'package agent\n\ndeny contains "no" if input.action.name == "x"\n')
      const out = path.join(dir, 'bundle.tar.gz')
      const built = await portcullis(['rego', 'build', source, '-e', 'agent/deny', '-o', out])
      expect(built.code, built.stderr).to.equal(0)
      return dir
    }

    it('does not keep check or doctor from coming to an end', async () => {
      const dir = await withBundle()
      const checked = await portcullis(['check', dir])
      expect(checked.code, checked.stderr).to.equal(0)
      const doctor = await portcullis(['doctor'], {
        POLICY_DIR: dir,
        PORT: String(await freePort()),
        DATA_DIR: scratch('data'),
      })
      expect(doctor.stdout).to.match(/^\u2713 policies$/m)
    })

    it('does not keep check from coming to an end when something else is wrong', async () => {
      const dir = await withBundle()
      writePolicies(dir, BROKEN)
      expect((await portcullis(['check', dir])).code).to.equal(3)
    })
  })

  describe('doctor', () => {
    it('finds a webhook secret that is too short to sign with', async () => {
      const env = { POLICY_DIR: policies(), DATA_DIR: scratch('data'), PORT: '0' }
      const short = await portcullis(['doctor'], { ...env, WEBHOOK_SECRET: 'short' })
      expect([short.code, short.stdout]).to.satisfy(
        ([code, text]: [number, string]) =>
          code === 5 && /^\u2717 webhook secret: .*5 bytes.*openssl rand/m.test(text),
      )
      const long = await portcullis(['doctor'], { ...env, WEBHOOK_SECRET: 'x'.repeat(24) })
      expect([long.code, long.stdout]).to.deep.equal([0, long.stdout])
    })

    it('says of each issuer of tokens whether its keys can be had', async () => {
      const issuer = await AuthorizationServer.start()
      const env = {
        ...{ POLICY_DIR: policies(), DATA_DIR: scratch('data'), PORT: '0' },
        ...{ PUBLIC_SERVER_URL: 'https://gate.example', MCP_OAUTH_ISSUERS: issuer.issuer },
      }
      const well = await portcullis(['doctor'], env)
      expect(well.stdout).to.include(`\u2713 tokens of ${issuer.issuer}\n`)
      await issuer.stop()
      const away = await portcullis(['doctor'], env)
      expect([
        away.code,
        away.stdout.includes(`\u2717 tokens of ${issuer.issuer}: `),
      ]).to.deep.equal([...[5, true]])
    })

    it('exits 0 when all is well', async () => {
      const { code, stdout } = await portcullis(['doctor'], {
        DATA_DIR: path.join(scratch('data'), 'new'),
        POLICY_DIR: policies(),
        PORT: String(await freePort()),
      })
      expect(stdout).to.not.include('\u2717')
      expect(stdout.match(/^\u2713 /gm)).to.have.length(9)
      expect(code).to.equal(0)
    })

    it('exits 5 and names each problem with its remedy', async () => {
      const server = net.createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as net.AddressInfo
      const dataDir = scratch('data')
      fs.writeFileSync(path.join(dataDir, 'audit-signing-key.pem'), 'x', { mode: 0o644 })
      const { code, stdout, stderr } = await portcullis(['doctor'], {
        DATA_DIR: dataDir,
        POLICY_DIR: policies(BROKEN),
        PORT: String(port),
        DATABASE_URL: `postgres://user:sesame-open@127.0.0.1:${await freePort()}/db`,
      })
      server.close()
      expect([code, stderr]).to.deep.equal([5, '4 problem(s)\n'])
      expect(stdout).to.match(/^\u2717 signing key: others can read .*chmod 600/m)
      expect(stdout).to.match(/^\u2717 port: .*is in use; set PORT/m)
      expect(stdout).to.match(/^\u2717 policies: 1 problem\(s\); run `portcullis check`/m)
      expect(stdout).to.match(/^\u2717 database: .*ECONNREFUSED.*check DATABASE_URL/m)
      expect(stdout).to.not.include('sesame-open')
    })
  })

  describe('start, where it cannot', () => {
    const start = (env: Record<string, string>) =>
      portcullis(['start'], { POLICY_DIR: policies(), PORT: '0', ...env })

    it('refuses a directory that was a database and is not whole, and leaves it as it is', async () => {
      const dataDir = scratch('data')
      await prepareEmbedded(dataDir)
      const db = path.join(dataDir, 'db')
      for (const part of ['PG_VERSION', 'global/pg_control']) {
        const aside = path.join(scratch('aside'), 'part')
        fs.renameSync(path.join(db, part), aside)
        const before = fs.readdirSync(db)
        const { code, stderr } = await start({ DATA_DIR: dataDir })
        expect([code, stderr.trim().split('\n').length]).to.deep.equal([1, 1])
        expect(stderr).to.include(part).and.include('restore the directory from a backup')
        expect(fs.readdirSync(db)).to.deep.equal(before)
        expect(fs.existsSync(path.join(dataDir, 'admin.key'))).to.equal(false)
        fs.renameSync(aside, path.join(db, part))
      }
      fs.writeFileSync(path.join(db, 'global', 'pg_control'), Buffer.alloc(8192, 7))
      const { code, stderr } = await start({ DATA_DIR: dataDir })
      expect([code, stderr.trim().split('\n').length]).to.deep.equal([1, 1])
      expect(stderr).to.include('cannot be opened').and.not.include('Aborted')
      expect(stderr).to.not.include('    at ')
    })

    it('makes no database in the place of one that is gone, until somebody accepts the loss', async () => {
      const dataDir = scratch('data')
      const gate = await TestGate.start({ dataDir })
      await gate.agent('worker')
      await gate.call('GET', '/audit/checkpoint')
      await gate.stop()
      const db = path.join(dataDir, 'db')
      for (const name of fs.readdirSync(db)) fs.rmSync(path.join(db, name), { recursive: true })
      for (const isThere of [true, false]) {
        if (!isThere) fs.rmdirSync(db)
        const { code, stderr } = await start({ DATA_DIR: dataDir })
        expect([code, stderr.trim().split('\n').length], stderr).to.deep.equal([1, 1])
        expect(stderr).to.include('entries of its record').and.include('accept-loss')
        expect(fs.existsSync(db) && fs.readdirSync(db).length > 0).to.equal(false)
      }
      for (const command of ['accept-loss', 'new-key']) {
        const elsewhere = path.join(scratch('data'), 'mistyped')
        const repair = ['audit', command, '--reason', 'a slip']
        const { code, stderr } = await portcullis(repair, { DATA_DIR: elsewhere })
        expect([code, fs.existsSync(elsewhere)], stderr).to.deep.equal([2, false])
        expect(stderr).to.include('there is no record in')
      }
      const args = ['audit', 'accept-loss', '--reason', 'the disk died']
      const accepted = await portcullis(args, { DATA_DIR: dataDir })
      expect(accepted.code, accepted.stderr).to.equal(0)
      const again = await TestGate.start({ dataDir })
      const { body } = await again.call('GET', '/audit/verify')
      expect([body.integrity, body.completeness]).to.deep.equal(['ok', 'ok'])
      await again.stop()
    })

    it('says which log file cannot be written, and ends; doctor says the same', async () => {
      const env = { DATA_DIR: scratch('data'), LOG_FILE: '/proc/foo/app.log' }
      const { code, stderr } = await start({ ...env, DEMO: 'on' })
      expect([code, stderr.trim().split('\n').length]).to.deep.equal([1, 1])
      expect(stderr).to.include('/proc/foo/app.log').and.include('set LOG_FILE')
      const doctor = await portcullis(['doctor'], { ...env, POLICY_DIR: policies() })
      expect(doctor.stdout).to.match(/^\u2717 log file: .*set LOG_FILE/m)
    })

    it('says what the database user may not do and the statement that grants it; doctor says the same', async function () {
      if (!postgresBin()) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      const server = await PostgresServer.start()
      const url = new URL(await server.createDatabase())
      const client = new pg.Client({ connectionString: url.href })
      await client.connect()
      await client.query('create role small login; revoke create on schema public from public')
      await client.end()
      url.username = 'small'
      const env = { DATA_DIR: scratch('data'), DATABASE_URL: url.href }
      const { code, stderr } = await start(env)
      expect([code, stderr.trim().split('\n').length]).to.deep.equal([1, 1])
      expect(stderr).to.include('GRANT CREATE ON SCHEMA public TO small')
      const doctor = await portcullis(['doctor'], { ...env, POLICY_DIR: policies(), PORT: '0' })
      expect([doctor.code, doctor.stdout]).to.satisfy(
        ([status, text]: [number, string]) => status === 5 && text.includes('GRANT CREATE'),
      )
      server.stop()
    })

    it('says in one line what is wrong with a server, and so does doctor', async function () {
      if (!postgresBin()) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      const server = await PostgresServer.start()
      const plain = new URL(await server.createDatabase())
      const at = (change: (url: URL) => void) => {
        const url = new URL(plain)
        change(url)
        return url.href
      }
      const setting = (text: string) => at((url) => url.searchParams.set('options', `-c ${text}`))
      const wrong: readonly [string, string, 'and doctor'?][] = [
        [at((url) => url.searchParams.set('sslmode', 'require')), 'speaks no TLS', 'and doctor'],
        [at((url) => (url.pathname = '/nowhere')), 'createdb nowhere'],
        [at((url) => (url.username = 'nobody')), 'does not let nobody in'],
        [at((url) => (url.port = '1')), 'cannot be reached'],
        [setting('synchronous_commit=off'), 'synchronous_commit off'],
        [setting('default_transaction_read_only=on'), 'is read only', 'and doctor'],
      ]
      for (const [url, cause, alsoDoctor] of wrong) {
        const env = { DATA_DIR: scratch('data'), DATABASE_URL: url }
        const { code, stderr } = await start(env)
        expect(code, stderr).to.equal(1)
        expect(stderr.trim().split('\n').at(-1)).to.include(cause)
        expect(stderr).to.not.include('    at ')
        if (!alsoDoctor) continue
        const doctor = await portcullis(['doctor'], { ...env, POLICY_DIR: policies(), PORT: '0' })
        expect(doctor.stdout).to.match(new RegExp(`^\u2717 database: .*${cause}`, 'm'))
      }
      server.stop()
    })

    it('says in one line what is wrong on this machine, and so does doctor', async () => {
      const garbage = scratch('data')
      await prepareEmbedded(garbage)
      const key = path.join(garbage, 'audit-signing-key.pem')
      fs.writeFileSync(key, 'not a key', { mode: 0o600 })
      const damaged = scratch('data')
      await prepareEmbedded(damaged)
      fs.writeFileSync(path.join(damaged, 'db', 'global', 'pg_control'), Buffer.alloc(8192, 7))
      const file = path.join(scratch('data'), 'file')
      fs.writeFileSync(file, '')
      const wrong: readonly [string, Record<string, string>, string][] = [
        ['signing key', { DATA_DIR: garbage }, 'is no private key'],
        ['database', { DATA_DIR: damaged }, 'cannot be opened'],
        ['data directory', { DATA_DIR: file }, 'set DATA_DIR'],
        ['port', { DATA_DIR: scratch('data'), HOST: '192.0.2.1' }, 'no address of this machine'],
      ]
      for (const [name, env, cause] of wrong) {
        const { code, stderr } = await start(env)
        const lines = stderr
          .trim()
          .split('\n')
          .filter((line) => !line.startsWith('making'))
        expect([code, lines.length], stderr).to.deep.equal([1, 1])
        expect(lines[0]).to.include(cause)
        const doctor = await portcullis(['doctor'], { PORT: '0', POLICY_DIR: policies(), ...env })
        expect(doctor.stdout).to.match(new RegExp(`^\u2717 ${name}: .*${cause}`, 'm'))
      }
    })
  })

  describe('with a running gate', () => {
    let gate: TestGate
    before(async () => {
      gate = await TestGate.start()
      await gate.agent('worker-1')
    })
    after(() => gate.stop())

    const at = (...args: string[]) => [...args, '--url', gate.gate.url]

    it('is found by PORTCULLIS_URL, or by the HOST and PORT that it was started with', async () => {
      const { port } = new URL(gate.gate.url)
      const ways = [
        { PORTCULLIS_URL: gate.gate.url, PORT: '1' },
        { PORT: port },
        { HOST: '0.0.0.0', PORT: port },
      ]
      for (const env of ways) {
        const { code, stderr } = await portcullis(['keys', 'list', '--key', ADMIN], env)
        expect([code, stderr]).to.deep.equal([0, ''])
      }
      const { code, stderr } = await portcullis(['keys', 'list', '--key', ADMIN], { PORT: '1' })
      expect(code).to.equal(1)
      expect(stderr).to.include('http://127.0.0.1:1;').and.include('PORTCULLIS_URL')
    })

    it('keys: creates, lists and revokes', async () => {
      const created = await portcullis(
        at('keys', 'create', '--role', 'observer', '--name', 'cli', '--key', ADMIN),
      )
      expect(created.code, created.stderr).to.equal(0)
      const key = created.stdout.trim()
      expect((await gate.call('GET', '/state', { key })).status).to.equal(200)
      const list = () => portcullis(at('keys', 'list'), { PORTCULLIS_KEY: ADMIN })
      const [, id = ''] = /^(key_\w+)\tobserver\tcli\tlive$/m.exec((await list()).stdout) ?? []
      expect(id).to.match(/^key_/)
      expect((await portcullis(at('keys', 'revoke', id, '--key', ADMIN))).code).to.equal(0)
      expect((await list()).stdout).to.match(/\tobserver\tcli\trevoked$/m)
      expect((await gate.call('GET', '/state', { key })).status).to.equal(401)
    })

    it('keys: exits 1 with what the gate says, 2 without a key, 1 without a gate', async () => {
      const wrong = await portcullis(at('keys', 'list', '--key', 'pk_wrong'))
      expect([wrong.code, wrong.stdout]).to.deep.equal([1, ''])
      expect(wrong.stderr).to.match(/^unauthenticated: /)
      const role = await portcullis(
        at('keys', 'create', '--role', 'root', '--name', 'x', '--key', ADMIN),
      )
      expect([role.code, role.stderr.startsWith('invalid_request: ')]).to.deep.equal([1, true])
      const keyless = await portcullis(at('keys', 'list'), { DATA_DIR: scratch('data') })
      expect([keyless.code, keyless.stderr]).to.deep.equal([
        2,
        'no key: give --key or set PORTCULLIS_KEY\n',
      ])
      const nowhere = `http://127.0.0.1:${await freePort()}`
      const absent = await portcullis(['keys', 'list', '--key', ADMIN, '--url', nowhere])
      expect([absent.code, absent.stderr]).to.deep.equal([
        1,
        `no gate answers at ${nowhere}; is it running there? PORTCULLIS_URL, HOST and PORT, or --url say where\n`,
      ])
    })

    it('keys: takes the admin key that the first start left in DATA_DIR', async () => {
      const dataDir = scratch('data')
      fs.writeFileSync(path.join(dataDir, 'admin.key'), `${ADMIN}\n`)
      expect((await portcullis(at('keys', 'list'), { DATA_DIR: dataDir })).code).to.equal(0)
    })

    it('audit: exports what verifies with nothing but the public key', async () => {
      const out = path.join(scratch('export'), 'audit.jsonl')
      const exported = await portcullis(at('audit', 'export', '--out', out, '--key', ADMIN))
      expect([exported.code, exported.stdout]).to.deep.equal([0, ''])
      expect(fs.statSync(out).mode & 0o077).to.equal(0)
      const key = path.join(gate.dataDir, 'audit-public-key.pem')
      const outside = path.join(gate.dataDir, 'checkpoints.jsonl')
      const verify = (file: string) =>
        portcullis(['audit', 'verify', file, '--public-key', key, '--checkpoints', outside])
      const good = await verify(out)
      expect(good.code, good.stdout).to.equal(0)
      expect(good.stdout)
        .to.match(/^integrity +ok$/m)
        .and.match(/^completeness +ok$/m)
      fs.writeFileSync(out, fs.readFileSync(out, 'utf8').replace('worker-1', 'worker-2'))
      const bad = await verify(out)
      expect([bad.code, bad.stderr.includes('integrity broken')]).to.deep.equal([5, true])
    })

    it('audit: the export on standard output is the same', async () => {
      const { code, stdout } = await portcullis(at('audit', 'export', '--key', ADMIN))
      expect(code).to.equal(0)
      const types = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).type)
      expect([types[0], types.at(-1)]).to.deep.equal(['head', 'end'])
    })

    it('audit: exits 2 for files that are not there or are no keys', async () => {
      const key = path.join(gate.dataDir, 'audit-public-key.pem')
      for (const args of [
        ['/nowhere', '--public-key', key],
        [key, '--public-key', '/nowhere'],
        [key, '--public-key', BIN],
        [key],
      ]) {
        expect((await portcullis(['audit', 'verify', ...args])).code).to.equal(2)
      }
    })
  })
})
