import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const STRICT = GATE.replace('"items.update", ', '')
const RULE = (word: string) =>
  `package agent\n\ndeny contains "not ${word}" if input.action.properties.args.note == "${word}"\n`

describe('the history of a policy', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'agent.rego': RULE('first') } })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  const get = async (route: string) => (await gate.call('GET', route)).body
  const live = async (): Promise<string> => (await get('/policy')).revision
  const edit = async (name: string, text: string) => {
    fs.writeFileSync(path.join(gate.policyDir, name), text)
    const { status, text: said } = await gate.call('POST', '/policy/reload', { body: {} })
    expect(status, said).to.equal(200)
    return live()
  }

  it('keeps every revision with its files, and says who made it the policy and when', async () => {
    const first = await live()
    const second = await edit('gate.yaml', STRICT)
    const { publications } = await get('/policy/revisions')
    expect(publications[0]).to.include({ revision: second, parent: first, retired_at: null })
    expect(publications[0].files_changed).to.deep.equal(['gate.yaml'])
    expect(publications[1]).to.include({ revision: first, source: 'directory' })
    expect(publications[1].retired_at).to.be.a('string')
    const old = await get(`/policy/files?revision=${first.slice(0, 12)}`)
    const byName = new Map(
      old.files.map((one: { path: string; content: string }) => [one.path, one.content]),
    )
    expect([old.revision, old.live]).to.deep.equal([first, false])
    expect(byName.get('gate.yaml')).to.equal(GATE)
    expect(byName.get('tools.yaml')).to.equal(TOOLS)
    const one = await get(`/policy/files?path=gate.yaml`)
    expect([one.live, one.files[0].content]).to.deep.equal([true, STRICT])
    const detail = await get(`/policy/revisions/${first}`)
    expect(detail).to.include({ revision: first, live: false, files_kept: true })
    await edit('gate.yaml', GATE)
    expect((await get(`/policy/revisions/${first}`)).publications).to.have.length(2)
  })

  it('has a revision on record, and its files, before it decides anything', async () => {
    const revision = await edit('gate.yaml', STRICT)
    const { entries } = await get('/audit/timeline?kind=policy.published&limit=1')
    expect(entries[0]).to.include({ revision })
    expect(entries[0].changed).to.deep.equal(['gate.yaml'])
    await edit('gate.yaml', GATE)
  })

  it('tells two revisions apart by their lines and by what they mean', async () => {
    const from = await live()
    const guard = `guards:\n  - { id: slow, kind: time_window, days: [mon], from: '08:00', to: '09:00', timezone: UTC }\n`
    const to = await edit('gate.yaml', STRICT.replace('rate_limits:', `${guard}rate_limits:`))
    const { files, meaning } = await get(`/policy/diff?from=${from}&to=${to}`)
    expect(files.map((one: { path: string }) => one.path)).to.deep.equal(['gate.yaml'])
    expect(files[0].diff).to.include('+++ b/gate.yaml').and.to.include('+guards:')
    const said = meaning.map(({ kind, change }: Record<string, string>) => `${change} ${kind}`)
    expect(said).to.have.members(['added guard', 'added permission', 'removed permission'])
    expect(meaning.find(({ kind }: { kind: string }) => kind === 'guard').name).to.equal('slow')
    await edit('gate.yaml', GATE)
  })

  it('explains a past decision by the rules of the revision that decided it', async () => {
    const denied = await gate.act(key, { tool: 'items.get', args: { id: 'x' } })
    expect(denied.status).to.equal(200)
    const refused = await gate.act(key, {
      tool: 'items.update',
      args: { id: 'i-1', note: 'first' },
    })
    expect(refused.status).to.equal(403)
    const route = `/actions/${refused.body.error.action_id}/explain`
    const before = await get(route)
    expect(before.live).to.equal(true)
    await edit('agent.rego', `\n\n\n${RULE('second')}`)
    const after = await get(route)
    expect(after.live).to.equal(false)
    expect(after.trace).to.deep.equal(before.trace)
    const step = after.trace.find(({ kind }: { kind: string }) => kind === 'module')
    expect(step.expressions[0]).to.include({ file: 'agent.rego', line: 3 })
    // It was another rule's, and the rule that is live has never decided it.
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
  })

  it('answers 404 for what never was, and 400 for what is no revision', async () => {
    expect((await gate.call('GET', `/policy/revisions/${'0'.repeat(64)}`)).status).to.equal(404)
    expect((await gate.call('GET', `/policy/files?revision=${'0'.repeat(64)}`)).status).to.equal(
      404,
    )
    expect((await gate.call('GET', '/policy/files?revision=live')).status).to.equal(400)
    expect((await gate.call('GET', '/policy/files?path=none.yaml')).status).to.equal(404)
  })
})
