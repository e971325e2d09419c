import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { finishCommitted, settleStaged, stage } from '../../src/lifecycle/folder.ts'
import { scratch } from '../support/scratch.ts'
import { TestGate, until } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const STRICT = GATE.replace('"items.update", ', '')
const BROKEN = GATE.replace('effect: allow', 'effect: alow')

describe('publishing into a policy directory', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  const live = async (): Promise<string> => (await gate.call('GET', '/policy')).body.revision
  const put = (files: object, base: string, query = '', more: object = {}) =>
    gate.call('PUT', `/policy/files${query}`, {
      body: { files, ...more },
      headers: { 'if-match': `"${base}"` },
    })
  const onDisk = (name: string) => fs.readFileSync(path.join(gate.policyDir, name), 'utf8')
  const isAllowed = async () => (await gate.act(key, UPDATE)).status === 200
  const lastOf = async (kind: string) =>
    (await gate.call('GET', `/audit/timeline?kind=${kind}&limit=1`)).body.entries[0]

  it('writes the files, decides by them at once, and is on record with who and why', async () => {
    const base = await live()
    const { status, body, text } = await put(
      { 'gate.yaml': STRICT, 'tools.yaml': TOOLS },
      base,
      '',
      { note: 'no more updates' },
    )
    expect(status, text).to.equal(200)
    expect(body).to.include({ parent: base, changed: true, source: 'directory' })
    expect([await live(), onDisk('gate.yaml')]).to.deep.equal([body.revision, STRICT])
    expect(await isAllowed()).to.equal(false)
    expect(await lastOf('policy.published')).to.include({
      ...{ revision: body.revision, parent: base, author: 'tester', source: 'api' },
      note: 'no more updates',
    })
    expect(fs.readdirSync(gate.policyDir).sort()).to.deep.equal(['gate.yaml', 'tools.yaml'])
  })

  it('rolls back to any revision that was live, and says so', async () => {
    const { publications } = (await gate.call('GET', '/policy/revisions')).body
    const [now, first] = publications
    const back = { revision: first.revision.slice(0, 16), reason: 'too strict' }
    const tried = await gate.call('POST', '/policy/rollback?dry_run=true', { body: back })
    expect(tried.body).to.include({ revision: first.revision, dry_run: true, changed: true })
    expect(await live()).to.equal(now.revision)
    const { status, body, text } = await gate.call('POST', '/policy/rollback', { body: back })
    expect(status, text).to.equal(200)
    expect(body).to.include({ revision: first.revision, parent: now.revision, changed: true })
    expect([await live(), onDisk('gate.yaml')]).to.deep.equal([first.revision, GATE])
    expect(await isAllowed()).to.equal(true)
    expect(await lastOf('policy.published')).to.include({ source: 'rollback', note: 'too strict' })
    const nowhere = { revision: '0'.repeat(64), reason: 'none' }
    expect((await gate.call('POST', '/policy/rollback', { body: nowhere })).status).to.equal(404)
  })

  it('412 for a change of something that is not live, and for files somebody edits', async () => {
    const base = await live()
    const stale = await put({ 'gate.yaml': STRICT, 'tools.yaml': TOOLS }, '0'.repeat(64))
    expect([stale.status, stale.body.error.code]).to.deep.equal([412, 'stale_revision'])
    expect(stale.body.error.revision).to.equal(base)
    fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), BROKEN)
    const edited = await put({ 'gate.yaml': STRICT, 'tools.yaml': TOOLS }, base)
    expect([edited.status, edited.body.error.code]).to.deep.equal([412, 'stale_revision'])
    expect([onDisk('gate.yaml'), await live()]).to.deep.equal([BROKEN, base])
    fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), GATE)
    const unnamed = await gate.call('PUT', '/policy/files', {
      body: { files: { 'gate.yaml': '' } },
    })
    expect([unnamed.status, unnamed.body.error.code]).to.deep.equal([400, 'invalid_request'])
  })

  it('422 with every mistake and one entry, and nothing changes', async () => {
    const base = await live()
    const cases: readonly (readonly [string, object])[] = [
      ['unknown_value', { 'gate.yaml': BROKEN, 'tools.yaml': TOOLS }],
      ['missing_file', { 'gate.yaml': GATE }],
      ['bad_file_name', { 'gate.yaml': GATE, 'tools.yaml': TOOLS, '../x.rego': 'package x' }],
      ['not_a_file', { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'lib.rego/x.rego': 'package x' }],
      ['too_deep', { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'a/b/c/d/e/f/g/h/i/x.rego': '' }],
      [
        'bad_file_name',
        { 'gate.yaml': GATE, 'tools.yaml': TOOLS, notes: '', 'notes/x.rego': 'package x' },
      ],
      ['policy_test_failed', { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'tests/a.yaml': FAILING }],
      [
        'too_many_files',
        {
          ...{ 'gate.yaml': GATE, 'tools.yaml': TOOLS },
          ...Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`m${n}.rego`, ''])),
        },
      ],
    ]
    for (const [code, files] of cases) {
      const entries = async () =>
        (await gate.call('GET', '/audit/timeline?kind=policy.rejected&limit=500')).body.entries
      const before = (await entries()).length
      const { status, body, text } = await put(files, base)
      expect([status, body.error?.code], text.slice(0, 300)).to.deep.equal([422, 'policy_invalid'])
      expect(body.error.diagnostics.map((one: { code: string }) => one.code)).to.include(code)
      expect(await live()).to.equal(base)
      expect(fs.readdirSync(gate.policyDir).sort()).to.deep.equal(['gate.yaml', 'tools.yaml'])
      await until('it is on record', async () => (await entries()).length > before)
      expect(await entries()).to.have.length(before + 1)
    }
  })

  it('lets a file make way for a directory of its name, and the other way round', async () => {
    const base = { 'gate.yaml': GATE, 'tools.yaml': TOOLS }
    const deep = { ...base, 'notes/x.rego': '# portcullis: library\npackage notes\n\nx := 1\n' }
    for (const files of [
      { ...base, 'data/notes': '' },
      deep,
      { ...base, 'data/notes': '' },
      base,
    ]) {
      const { status, text } = await put(files, await live())
      expect(status, text.slice(0, 300)).to.equal(200)
    }
  })

  it('a dry run checks and tests all the same, and changes nothing', async () => {
    const base = await live()
    const good = await put({ 'gate.yaml': STRICT, 'tools.yaml': TOOLS }, base, '?dry_run=true')
    expect(good.status, good.text).to.equal(200)
    expect(good.body).to.include({ dry_run: true, changed: true, parent: base })
    const bad = await put({ 'gate.yaml': BROKEN, 'tools.yaml': TOOLS }, base, '?dry_run=true')
    expect(bad.status).to.equal(422)
    expect([await live(), onDisk('gate.yaml')]).to.deep.equal([base, GATE])
  })

  it('takes a content that it keeps by its digest, and what is no text as base64', async () => {
    const base = await live()
    const { files } = (await gate.call('GET', '/policy/files')).body
    const { sha256 } = files.find((one: { path: string }) => one.path === 'tools.yaml')
    const again = { 'gate.yaml': { base64: btoa(STRICT) }, 'tools.yaml': { sha256 } }
    expect((await put(again, base, '?dry_run=true')).status).to.equal(200)
    const unknown = { 'gate.yaml': GATE, 'tools.yaml': { sha256: '0'.repeat(64) } }
    expect((await put(unknown, base)).body.error.code).to.equal('invalid_request')
    expect((await put({ 'gate.yaml': { base64: '!' } }, base)).status).to.equal(400)
  })

  it('409 with a patch where the live policy asks for approvals, which files go around', async () => {
    const base = await live()
    const files = { 'gate.yaml': `${GATE}publish: { approvals: { quorum: 1 } }\n` }
    const asked = await put({ ...files, 'tools.yaml': TOOLS }, base)
    expect(asked.status, asked.text).to.equal(200)
    const { status, body } = await put({ 'gate.yaml': GATE, 'tools.yaml': TOOLS }, await live())
    expect([status, body.error.code]).to.deep.equal([409, 'read_only_policy'])
    expect(body.error.patch).to.include('-publish: { approvals: { quorum: 1 } }')
    const back = { revision: base, reason: 'as it was' }
    expect((await gate.call('POST', '/policy/rollback', { body: back })).status).to.equal(200)
  })
})

describe('what a gate that ended left staged', () => {
  const before = new Map([
    ['gate.yaml', Buffer.from('old')],
    ['gone.rego', Buffer.from('old')],
  ])
  const after = { 'gate.yaml': Buffer.from('new'), 'data/a.csv': Buffer.from('a') }
  const list = (dir: string) => fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()
  const folder = () => {
    const dir = scratch('staged')
    for (const [name, text] of before) fs.writeFileSync(path.join(dir, name), text)
    return dir
  }

  it('is dropped where the record does not have it, and carried out where it does', async () => {
    const dir = folder()
    await stage(dir, 'r1', before, after)
    expect(await settleStaged(dir, 'another')).to.equal(false)
    expect(list(dir)).to.deep.equal(['gate.yaml', 'gone.rego'])
    await stage(dir, 'r1', before, after)
    await finishCommitted(dir) // nothing was committed
    expect(fs.readFileSync(path.join(dir, 'gate.yaml'), 'utf8')).to.equal('old')
    expect(await settleStaged(dir, 'r1')).to.equal(true)
    expect(list(dir)).to.deep.equal(['data', 'data/a.csv', 'gate.yaml'])
  })

  it('is finished by the next start when it was committed, from wherever it ended', async () => {
    const dir = folder()
    await stage(dir, 'r1', before, after)
    const at = path.join(dir, '.portcullis-publish')
    fs.renameSync(path.join(at, 'plan.json'), path.join(at, 'committed.json'))
    fs.renameSync(path.join(at, 'files', 'gate.yaml'), path.join(dir, 'gate.yaml'))
    await finishCommitted(dir)
    expect(list(dir)).to.deep.equal(['data', 'data/a.csv', 'gate.yaml'])
    expect(fs.readFileSync(path.join(dir, 'gate.yaml'), 'utf8')).to.equal('new')
  })
})

const FAILING = `version: 1
subjects: { worker: { roles: [worker] } }
actions: { update: { tool: items.update, args: { id: i-1 } } }
matrix: [{ effect: deny }]
`
