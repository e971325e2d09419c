import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { parseConfig } from '../src/config.ts'
import { freePort, GateProcess } from './support/gate-process.ts'
import { prepareEmbedded } from './support/database.ts'
import { scratch } from './support/scratch.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')

/** The commands of the tour, as one script. */
function tour(): string {
  const [, part = ''] = /<!-- tour -->([^]*)<!-- \/tour -->/.exec(read('README.md')) ?? []
  return [...part.matchAll(/```sh\n([^]*?)```/g)].map(([, text]) => text).join('\n')
}

describe('the README', function () {
  this.timeout(600_000)

  it('has a tour that works as written', async () => {
    const dir = scratch('tour')
    fs.cpSync(path.join(ROOT, 'policies'), path.join(dir, 'policies'), { recursive: true })
    const [port, demoPort] = [await freePort(), await freePort()]
    fs.mkdirSync(path.join(dir, '.portcullis'), { mode: 0o700 })
    await prepareEmbedded(path.join(dir, '.portcullis'))
    // As `npm start` runs it, but on free ports: another gate may run on this machine.
    const gate = new GateProcess(
      port,
      { DEMO: 'on', DEMO_PORT: String(demoPort), API_TOKENS: '', LOG_LEVEL: 'info' },
      dir,
    )
    await gate.start()
    try {
      const script = tour()
        .replaceAll('127.0.0.1:8787', `127.0.0.1:${port}`)
        .replaceAll('npx portcullis', 'npx_portcullis')
      const bin = path.join(ROOT, 'bin', 'portcullis.js')
      const shell = `npx_portcullis() { "${process.execPath}" "${bin}" "$@" URL_FLAG; }\n`
      const { stdout, stderr } = spawnSync('bash', ['-c', prelude(shell, port) + script], {
        cwd: dir,
        encoding: 'utf8',
      })
      for (const expected of [
        '"decision":"allow","status":"succeeded"',
        '{"id":"t-1","subject":"Password reset link has expired"',
        '"code":"do_not_contact"',
        '"decision":"require_approval"',
        '"status":"approved"',
        '"state":"succeeded"',
        '"file":"gate.yaml","line":34',
        'exit 3',
        '"code":"policy_invalid"',
        '{"reloaded":true',
        '"recorded":true,"unconfirmed":[]',
        '"code":"kill_switch_engaged"',
        '"approved_by":["admin"]',
        '"name":"researcher","owner":"ada"',
        '"code":"budget_exceeded"',
        '{"alerts":[{"id":"alr_',
        'integrity     ok',
        'entry_altered',
        'exit 5',
        'actions_total{kind="succeeded"}',
        'event: kill_switch.engaged',
      ]) {
        expect(stdout, stderr).to.include(expected)
      }
      expect(stderr).to.include('did you mean `tickets.update`?')
    } finally {
      expect(await gate.kill('SIGINT'), 'Ctrl-C is clean').to.equal(0)
    }
  })
})

// `audit export` takes the gate's address from --url; the tour runs on the default one.
function prelude(shell: string, port: number): string {
  return shell.replace(
    ' URL_FLAG',
    ` $([ "$1 $2" = "audit export" ] && echo --url http://127.0.0.1:${port})`,
  )
}

describe('the files around it', () => {
  it('.env.example names every variable the configuration reads, and its values load', () => {
    const example = read('.env.example')
    const names = [...example.matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name)
    const readByConfig = [...read('src/config.ts').matchAll(/\('([A-Z][A-Z_]{3,})'/g)].map(
      ([, name]) => name,
    )
    for (const name of new Set(readByConfig)) {
      if (name !== 'NODE_ENV') expect(names).to.include(name)
    }
    const values = [...example.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [
      name,
      value,
    ])
    expect(parseConfig(Object.fromEntries(values)).port).to.equal(8787)
  })

  it('docker-compose.yml runs the gate on PostgreSQL with Prometheus scraping it', () => {
    const compose = parse(read('docker-compose.yml'))
    expect(Object.keys(compose.services)).to.include.members(['postgres', 'gate', 'prometheus'])
    for (const [name, service] of Object.entries<Record<string, unknown>>(compose.services)) {
      expect(service['image'] ?? service['build'], name).to.be.a('string')
    }
    const { environment } = compose.services.gate
    const example = new Set(
      [...read('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name),
    )
    for (const name of Object.keys(environment)) {
      if (name !== 'NODE_ENV') expect([...example]).to.include(name)
    }
    const scrape = parse(read('ops/prometheus/prometheus.yml')).scrape_configs[0]
    expect(scrape.static_configs[0].targets).to.deep.equal([`gate:${environment.PORT}`])
    expect(scrape.metrics_path).to.equal('/metrics')
  })

  it('the demo plays its five acts', function () {
    this.timeout(600_000)
    const bin = path.join(ROOT, 'bin', 'portcullis.js')
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, 'demo'], {
      encoding: 'utf8',
    })
    expect(status, stdout + stderr).to.equal(0)
    for (const act of [1, 2, 3, 4, 5]) expect(stdout).to.include(`Act ${act}.`)
  })
})
