import { expect } from 'chai'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { GatewayError } from '../../src/errors.ts'
import {
  type Bundle,
  type ModuleCompiler,
  PolicyStore,
  type PolicyStoreOptions,
} from '../../src/policy/index.ts'
import { until } from '../support/gate.ts'
import { GATE, OPTIONS, sampleFiles, type Files } from './sample.ts'

const DEADLINE_MS = 20_000 // that it ends at all: how fast is for the bench
const FORBIDDEN = `${GATE}  - { roles: [writer], tools: ['*'], effect: deny }\n`

describe('policy store', () => {
  let root: string
  let dir: string
  let store: PolicyStore | undefined

  beforeEach(async () => {
    root = await fs.mkdtemp(path.join(os.tmpdir(), 'policy-store-'))
    dir = path.join(root, 'policies')
    await write(dir)
  })

  afterEach(async () => {
    await store?.stop()
    store = undefined
    await fs.rm(root, { recursive: true, force: true })
  })

  async function started(change: Partial<PolicyStoreOptions> = {}): Promise<PolicyStore> {
    store = new PolicyStore({ ...OPTIONS, dir, ...change })
    await store.start()
    return store
  }

  it('swaps after an edit', async () => {
    const store = await started()
    const before = store.current
    const swapped = nextBundle(store)
    await fs.writeFile(path.join(dir, 'gate.yaml'), FORBIDDEN)
    expect((await swapped).revision).to.not.equal(before.revision)
    expect(store.current.guards).to.have.length(3)
  })

  it('keeps the last good bundle when an edit is wrong, and remembers what was', async () => {
    const store = await started()
    const before = store.current
    const rejected = new Promise((resolve) => store.subscribe({ onRejected: resolve }))
    await fs.writeFile(path.join(dir, 'gate.yaml'), 'version: 2\n')
    await within(rejected)
    expect(store.current).to.equal(before)
    expect(store.rejection?.diagnostics.map((one) => one.code)).to.include('missing_key')
    const swapped = nextBundle(store)
    await fs.writeFile(path.join(dir, 'gate.yaml'), FORBIDDEN)
    await swapped
    expect(store.rejection).to.equal(undefined)
  })

  it('adopts nothing that is not on record yet, and looks again until it is', async () => {
    const store = await started()
    const before = store.current
    const recorded: string[] = []
    let isDown = true
    store.recordBeforeAdopting(async ({ bundle: { revision } }) => {
      if (isDown) throw new GatewayError('audit_unavailable', 'the record cannot be written')
      recorded.push(`${revision} while ${store.current.revision} decides`)
    })
    await fs.writeFile(path.join(dir, 'gate.yaml'), FORBIDDEN)
    const refused = await store.reload('request').catch((error: GatewayError) => error.code)
    expect(refused).to.equal('audit_unavailable')
    expect(store.current).to.equal(before)
    isDown = false
    const bundle = await nextBundle(store) // by the watcher, which saw the change too
    expect(recorded).to.deep.equal([`${bundle.revision} while ${before.revision} decides`])
  })

  it('logs one line for each reload, accepted or refused, and for a directory that is gone', async () => {
    const lines: Record<string, unknown>[] = []
    const log = (level: string) => (fields: object, message: string) =>
      void lines.push({ level, message, ...fields })
    const store = await started({ log: { info: log('info'), warn: log('warn') } })
    const { revision } = store.current
    expect(lines.splice(0)[0]).to.include({
      message: 'policy loaded',
      revision: revision,
      reason: 'start',
      guards: 2,
    })
    await store.reload('api')
    expect(lines.splice(0)).to.deep.equal([
      { level: 'info', message: 'policy unchanged', revision, reason: 'api' },
    ])
    const refused = nextRejection(store)
    await fs.writeFile(path.join(dir, 'gate.yaml'), GATE.replace('effect: allow', 'effect: alow'))
    await refused
    expect(lines.splice(0)).to.deep.equal([
      {
        level: 'warn',
        message: 'policy refused: the last good one stays',
        revision,
        reason: 'watch',
        findings: 1,
        first: 'gate.yaml:4:68 unknown_value: `permissions.0.effect` has unknown value `alow`',
      },
    ])
    const swapped = nextBundle(store)
    await fs.writeFile(path.join(dir, 'gate.yaml'), FORBIDDEN)
    const next = await swapped
    expect(lines.splice(0)[0]).to.include({
      revision: next.revision,
      previous: revision,
    })
    const gone = nextRejection(store)
    await fs.rename(dir, `${dir}.away`)
    await gone
    expect(lines).to.have.length(1)
    expect(lines[0]).to.include({
      level: 'warn',
      revision: next.revision,
      first: '.:1:1 no_policy: the policy directory `policies` does not exist',
    })
    lines.length = 0
    await fs.rename(`${dir}.away`, dir)
    await until('it is said that it is well again', () => lines.length > 0)
    expect(lines[0]).to.include({
      level: 'info',
      message: 'policy in order again: unchanged',
      revision: next.revision,
    })
  })

  it('follows the policy directory when it is a link that is repointed', async () => {
    await write(path.join(root, 'b'), { 'gate.yaml': FORBIDDEN })
    const link = path.join(root, 'live')
    await fs.symlink(dir, link)
    const store = await started({ dir: link })
    const swapped = nextBundle(store)
    await fs.symlink(path.join(root, 'b'), `${link}.new`)
    await fs.rename(`${link}.new`, link)
    expect((await swapped).guards).to.have.length(3)
    const again = nextBundle(store)
    await fs.writeFile(path.join(root, 'b', 'gate.yaml'), GATE)
    expect((await again).guards).to.have.length(2)
  })

  it('follows a mounted ConfigMap, whose files are links through ..data', async () => {
    const mount = path.join(root, 'mount')
    await fs.mkdir(mount)
    await write(path.join(mount, '..1'))
    await write(path.join(mount, '..2'), { 'gate.yaml': FORBIDDEN })
    await fs.symlink('..1', path.join(mount, '..data'))
    for (const name of ['gate.yaml', 'tools.yaml']) {
      await fs.symlink(path.join('..data', name), path.join(mount, name))
    }
    const store = await started({ dir: mount })
    const swapped = nextBundle(store)
    await fs.symlink('..2', path.join(mount, '..data_tmp'))
    await fs.rename(path.join(mount, '..data_tmp'), path.join(mount, '..data'))
    expect((await swapped).guards).to.have.length(3)
  })

  // A load compiles between its two looks at the directory, so a writer is put there: whatever it does first.
  it('never swaps in a mixture of two files that belong together', async () => {
    let compiled = 0
    let meanwhile = async () => {}
    const compiler: ModuleCompiler = {
      async compile() {
        compiled++
        await meanwhile()
        meanwhile = async () => {}
        return { ok: true, module: null, warnings: [] }
      },
    }
    const put = {
      gate: (environment: string) =>
        fs.writeFile(path.join(dir, 'gate.yaml'), GATE.replace('production', environment)),
      mark: (environment: string) =>
        fs.writeFile(path.join(dir, 'data', 'mark.json'), JSON.stringify(environment)),
    }
    await fs.mkdir(path.join(dir, 'data'))
    await write(dir, { 'agent.rego': 'package agent\n' })
    await Promise.all([put.gate('first'), put.mark('first')])
    const store = await started({ watch: false, compiler })
    for (const [turn, order] of (['gate', 'mark', 'gate', 'mark'] as const).entries()) {
      const environment = `turn-${turn}`
      await put[order](environment)
      meanwhile = () => put[order === 'gate' ? 'mark' : 'gate'](environment)
      compiled = 0
      expect(await store.reload('test')).to.include({ ok: true, changed: true })
      expect(store.current).to.deep.include({ environment })
      expect(store.current.data['mark']).to.equal(environment)
      expect(compiled).to.equal(2)
    }
  })

  it('says that nothing changed when nothing did', async () => {
    const store = await started({ watch: false })
    const before = store.current
    let told = 0
    store.subscribe({ onReloaded: () => told++ })
    const result = await store.reload('test')
    expect(result).to.deep.include({ ok: true, changed: false })
    expect(store.current).to.equal(before)
    expect(told).to.equal(0)
  })

  it('serialises reloads that come at once; the last state wins', async () => {
    const store = await started({ watch: false })
    await fs.writeFile(path.join(dir, 'gate.yaml'), FORBIDDEN)
    const results = await Promise.all(Array.from({ length: 8 }, () => store.reload('test')))
    expect(results.filter((one) => one.ok && one.changed)).to.have.length(1)
    expect(store.current.guards).to.have.length(3)
  })

  it('does not compile again what the live bundle was made of', async () => {
    let compiled = 0
    const compiler: ModuleCompiler = {
      async compile() {
        compiled++
        return { ok: true, module: null, warnings: [] }
      },
    }
    await write(dir, { 'agent.rego': 'package agent\n' })
    const store = await started({ watch: false, compiler })
    const { current } = store
    expect(await store.reload('test')).to.deep.equal({ ok: true, changed: false, bundle: current })
    expect([compiled, store.current === current]).to.deep.equal([1, true])
    await fs.writeFile(path.join(dir, 'agent.rego'), 'package agent\n\n')
    expect(await store.reload('test')).to.include({ ok: true, changed: true })
    expect(compiled).to.equal(2)
  })

  it('loads a single file in place of gate.yaml, and goes back without a path', async () => {
    const store = await started({ watch: false })
    await fs.writeFile(path.join(dir, 'valid.yaml'), FORBIDDEN)
    await fs.writeFile(path.join(dir, 'invalid.yaml'), 'version: 1\nallowed: true\n')
    expect(await store.reload('test', 'policies/valid.yaml')).to.include({ ok: true })
    expect(store.current.guards).to.have.length(3)
    expect(await store.reload('test', 'policies/invalid.yaml')).to.include({ ok: false })
    expect(store.current.guards).to.have.length(3)
    expect(await store.reload('test')).to.include({ ok: true })
    expect(store.current.guards).to.have.length(2)
  })

  it('loads another directory under the root and watches it', async () => {
    const store = await started()
    await write(path.join(root, 'other'), { 'gate.yaml': FORBIDDEN })
    expect(await store.reload('test', 'other')).to.include({ ok: true })
    const swapped = nextBundle(store)
    await fs.writeFile(path.join(root, 'other', 'gate.yaml'), GATE)
    expect((await swapped).guards).to.have.length(2)
  })

  it('refuses a path outside the root, by dots, absolutely or through a link', async () => {
    const store = await started({ watch: false })
    await fs.symlink('/etc', path.join(root, 'out'))
    const bad = ['..', '../..', '/etc', 'policies/../../..', 'out', 'out/passwd', 'nowhere', '']
    for (const one of bad.slice(0, -1)) {
      const code = await store.reload('test', one).then(
        () => 'loaded',
        (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
      )
      expect(code, one).to.equal('invalid_request')
    }
  })

  it('refuses to start without a policy, and with a wrong one', async () => {
    const cases = [
      { dir: path.join(root, 'nowhere'), code: 'no_policy' },
      { dir: root, code: 'policy_invalid' },
    ]
    for (const { dir, code } of cases) {
      const error: unknown = await new PolicyStore({ ...OPTIONS, dir }).start().catch((e) => e)
      expect(error).to.be.instanceOf(GatewayError)
      expect((error as GatewayError).code).to.equal(code)
      expect((error as GatewayError).details['diagnostics'])
        .to.have.property('length')
        .that.is.above(0)
    }
  })

  it('checks files by content without touching what is live', async () => {
    const store = await started({ watch: false })
    const before = store.current
    const files = sampleFiles({ 'gate.yaml': FORBIDDEN })
    expect(await store.check(files)).to.include({ ok: true })
    expect(await store.check({ 'gate.yaml': 'x' })).to.include({ ok: false })
    expect(await store.check(undefined)).to.include({ ok: true })
    expect(store.current).to.equal(before)
  })
})

async function write(dir: string, change: Files = {}): Promise<void> {
  await fs.mkdir(dir, { recursive: true })
  for (const [name, content] of Object.entries(sampleFiles(change))) {
    await fs.writeFile(path.join(dir, name), content)
  }
}

const nextBundle = (store: PolicyStore): Promise<Bundle> =>
  within(new Promise<Bundle>((resolve) => store.subscribe({ onReloaded: resolve })))

const nextRejection = (store: PolicyStore): Promise<unknown> => {
  const rejected = new Promise((resolve) => {
    const unsubscribe = store.subscribe({
      onRejected: (found) => {
        unsubscribe()
        resolve(found)
      },
    })
  })
  return within(rejected)
}

async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${DEADLINE_MS} ms`)), DEADLINE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
