import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
/** Role worker may no longer update. */
const STRICT = GATE.replace('"items.update", ', '')
const BROKEN = GATE.replace('effect: allow', 'effect: alow')
const LOADERS = 6

describe('policies while the gate runs', () => {
  let gate: TestGate
  let key: string
  /** The configured directory is a link, as a mounted ConfigMap is. */
  let link: string
  before(async () => {
    const root = scratch('policies')
    writePolicies(path.join(root, 'v1'), {})
    link = path.join(root, 'policies')
    fs.symlinkSync('v1', link)
    gate = await TestGate.start({ policyDir: link })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(async () => {
    writePolicies(link, {})
    await reload()
  })

  const write = (text: string) => fs.writeFileSync(path.join(link, 'gate.yaml'), text)
  const reload = (body: object = {}) => gate.call('POST', '/policy/reload', { body })
  const check = (body: object) => gate.call('POST', '/policy/check', { body })
  const live = async () => (await gate.call('GET', '/policy')).body
  const isAllowed = async () => (await gate.act(key, UPDATE)).status === 200
  const metric = async (name: string) => {
    const { text } = await gate.call('GET', '/metrics', { key: null })
    return new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]
  }

  /** Acts all the time while `change` happens and until it shows; answers what came meanwhile. */
  async function underLoad(change: () => void): Promise<Answer[]> {
    const answers: Answer[] = []
    const stop = new AbortController()
    const loaders = Array.from({ length: LOADERS }, async () => {
      while (!stop.signal.aborted) answers.push(await gate.act(key, UPDATE))
    })
    await until('something is answered', () => answers.length > LOADERS)
    change()
    await until('the change decides', () => answers.at(-1)?.status === 403)
    stop.abort()
    await Promise.all(loaders)
    return answers
  }

  /** Each answer fits the revision it names: nothing failed, and nothing was decided by a mixture. */
  function expectTwoRevisions(answers: readonly Answer[], before: string, after: string): void {
    for (const { status, body } of answers) {
      const revision = body.revision ?? body.error.revision
      expect([200, 403]).to.include(status)
      expect(revision).to.equal(status === 200 ? before : after)
    }
  }

  it('an edited file decides the next action, and no request fails meanwhile', async () => {
    const { revision } = await live()
    const answers = await underLoad(() => write(STRICT))
    expectTwoRevisions(answers, revision, (await live()).revision)
  })

  it('so does a directory that is swapped under its link', async () => {
    const { revision } = await live()
    const next = path.join(path.dirname(link), 'v2')
    writePolicies(next, { 'gate.yaml': STRICT })
    const answers = await underLoad(() => point('v2'))
    expectTwoRevisions(answers, revision, (await live()).revision)
    point('v1')
    await until('it is back', isAllowed)
  })

  function point(version: string): void {
    fs.symlinkSync(version, `${link}.new`)
    fs.renameSync(`${link}.new`, link)
  }

  it('an invalid edit changes nothing, and says so everywhere', async () => {
    const { revision } = await live()
    const reader = await EventReader.open(gate.gate.url, ADMIN, { query: '?types=policy,alert' })
    write(BROKEN)
    await until('the event comes', () => reader.events.length >= 2)
    await reader.close()
    expect(reader.events.map(({ type }) => type)).to.have.members([
      'policy.rejected',
      'alert.policy_rejected',
    ])
    expect(reader.events.find(({ type }) => type === 'policy.rejected')?.data).to.include({
      revision,
      reason: 'watch',
    })
    const policy = await live()
    expect([policy.revision, policy.stale]).to.deep.equal([revision, true])
    expect(policy.rejected.diagnostics[0]).to.include({ file: 'gate.yaml', line: 5 })
    expect(await metric('portcullis_policy_stale')).to.equal('1')
    expect((await gate.call('GET', '/state')).body.policy).to.deep.equal({ revision, stale: true })
    const ready = await gate.call('GET', '/readyz', { key: null })
    expect(ready.status).to.equal(200)
    expect(await isAllowed()).to.equal(true)
  })

  it('and is forgotten as soon as the files are as they were', async () => {
    write(BROKEN)
    await until('it is stale', async () => (await live()).stale)
    write(GATE)
    await until('it is not', async () => !(await live()).stale)
    expect(await metric('portcullis_policy_stale')).to.equal('0')
  })

  it('POST /policy/reload answers 422 with every mistake and its place, and keeps the old one', async () => {
    const { revision } = await live()
    write(BROKEN.replace('require_approval', 'ask'))
    const { status, body } = await reload()
    expect([status, body.error.code]).to.deep.equal([422, 'policy_invalid'])
    expect(body.error.revision).to.equal(revision)
    expect(body.error.message).to.match(/^the policy does not load: gate\.yaml:\d+:\d+ /)
    const places = body.error.diagnostics.map(
      ({ file, line, col }: { file: string; line: number; col: number }) => [file, line, col > 0],
    )
    expect(places).to.deep.include.members([
      ['gate.yaml', 5, true],
      ['gate.yaml', 6, true],
    ])
    expect(await isAllowed()).to.equal(true)
  })

  it('POST /policy/reload swaps at once and says whether anything changed', async () => {
    const { revision } = await live()
    expect((await reload()).body).to.include({ reloaded: true, changed: false, revision })
    write(STRICT)
    const { status, body } = await reload()
    expect([status, body.reloaded]).to.deep.equal([200, true])
    expect(body.revision).to.not.equal(revision)
    expect(await isAllowed()).to.equal(false)
  })

  it('is on record with the files and who asked', async () => {
    write(STRICT)
    await reload()
    await until('it is on record', async () => {
      const { body } = await gate.call('GET', '/audit/timeline?kind=policy.reloaded&limit=1')
      return body.entries[0]?.revision === (await live()).revision
    })
    const { body } = await gate.call('GET', '/audit/timeline?kind=policy.reloaded&limit=1')
    expect(body.entries[0].files.map(({ path }: { path: string }) => path)).to.include('gate.yaml')
    expect(body.entries[0].reason).to.be.oneOf(['reload by tester', 'watch'])
  })

  describe('by path, as the seeds do', () => {
    beforeEach(async () => {
      for (const name of ['valid.yaml', 'invalid.yaml']) {
        fs.copyFileSync(path.join(ROOT, 'policies', name), path.join(link, name))
      }
      await reload()
    })

    it('{"path":"policies/valid.yaml"} is live until the next reload without one', async () => {
      const { revision } = await live()
      const loaded = await reload({ path: 'policies/valid.yaml' })
      expect(loaded.status, loaded.text).to.equal(200)
      expect(loaded.body.revision).to.not.equal(revision)
      expect(await isAllowed()).to.equal(true)
      await reload()
      expect((await live()).revision).to.equal(revision)
    })

    it('{"path":"policies/invalid.yaml"} is 422 and leaves no trace of staleness', async () => {
      const { revision } = await live()
      const { status, body } = await reload({ path: 'policies/invalid.yaml' })
      expect([status, body.error.code]).to.deep.equal([422, 'policy_invalid'])
      const lines = body.error.diagnostics.map(({ line }: { line: number }) => line)
      expect(lines).to.include.members([4, 5, 6])
      expect(body.error.diagnostics[0].file).to.equal('invalid.yaml')
      const policy = await live()
      expect([policy.revision, policy.stale]).to.deep.equal([revision, false])
      expect(await metric('portcullis_policy_stale')).to.equal('0')
      const alerts = async () =>
        (await gate.call('GET', '/audit/timeline?kind=policy.rejected')).body
      await until('the trial is on record', async () => (await alerts()).entries.length > 0)
    })

    it('400 for a path outside, however it is written', async () => {
      const outside = path.join(scratch('outside'), 'gate.yaml')
      fs.writeFileSync(outside, GATE)
      fs.symlinkSync(outside, path.join(link, 'sneaky.yaml'))
      for (const one of [
        '../outside.yaml',
        '/etc',
        '/etc/passwd',
        outside,
        'policies/sneaky.yaml',
        'policies/../../x',
        'policies/absent.yaml',
        'policies/\0',
      ]) {
        for (const call of [reload, check]) {
          const { status, body, text } = await call({ path: one })
          expect([status, body.error?.code], `${one}: ${text}`).to.deep.equal([
            400,
            'invalid_request',
          ])
          expect(text).to.not.include('root:')
        }
      }
      fs.rmSync(path.join(link, 'sneaky.yaml'))
    })
  })

  describe('POST /policy/check', () => {
    it('checks files by content and swaps nothing', async () => {
      const { revision } = await live()
      const good = await check({ files: { 'gate.yaml': STRICT, 'tools.yaml': TOOLS } })
      expect([good.status, good.body.valid]).to.deep.equal([200, true])
      expect(good.body.revision).to.not.equal(revision)
      const bad = await check({ files: { 'gate.yaml': BROKEN, 'tools.yaml': TOOLS } })
      expect([bad.status, bad.body.error.code]).to.deep.equal([422, 'policy_invalid'])
      expect(bad.body.error.diagnostics[0]).to.include({ file: 'gate.yaml', line: 5 })
      expect((await live()).revision).to.equal(revision)
      expect((await live()).stale).to.equal(false)
    })

    it('takes bytes, and digests of what the gate keeps, as a publish does', async () => {
      const { body } = await gate.call('GET', '/policy/files?path=tools.yaml')
      const [{ sha256 }] = body.files
      const base64 = Buffer.from(STRICT).toString('base64')
      const good = await check({ files: { 'gate.yaml': { base64 }, 'tools.yaml': { sha256 } } })
      expect([good.status, good.body.valid]).to.deep.equal([200, true])
      const unknown = { 'gate.yaml': STRICT, 'tools.yaml': { sha256: '0'.repeat(64) } }
      expect((await check({ files: unknown })).body.error.code).to.equal('invalid_request')
    })

    it('checks a directory or a file by path, and the live directory without one', async () => {
      const next = path.join(path.dirname(link), 'v3')
      writePolicies(next, { 'gate.yaml': BROKEN })
      expect((await check({ path: 'v3' })).status).to.equal(422)
      expect((await check({ path: 'policies' })).status).to.equal(200)
      expect((await check({})).body.revision).to.equal((await live()).revision)
    })

    it('400 for both, for neither kind of value, and for names that are no files', async () => {
      for (const body of [
        { path: 'policies', files: {} },
        { path: 7 },
        { files: { 'gate.yaml': 7 } },
        { files: [] },
        { other: 1 },
      ]) {
        expect((await check(body)).status).to.equal(400)
      }
      const climbing = await check({ files: { '../gate.yaml': GATE, 'tools.yaml': TOOLS } })
      expect(climbing.status).to.be.oneOf([400, 422])
    })
  })

  it('GET /policy tells the revision, its files, tools and guards', async () => {
    const policy = await live()
    expect(policy.revision).to.match(/^[0-9a-f]{64}$/)
    expect(policy.environment).to.equal('test')
    expect(policy.files.map(({ path }: { path: string }) => path)).to.include.members([
      'gate.yaml',
      'tools.yaml',
    ])
    expect(policy.tools).to.deep.include({
      name: 'items.get',
      upstream: 'test',
      method: 'GET',
      path: '/items/{id}',
      effect: 'read',
    })
    expect(policy.stale).to.equal(false)
    expect(policy).to.not.have.property('rejected')
  })
})
