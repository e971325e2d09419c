import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const DELETES = '{ roles: [worker], tools: ["items.delete"], effect: allow }'
const LENIENT = GATE.replace(
  / {2}- \{ roles: \[worker\], tools: \["items.delete"\].*/,
  `  - ${DELETES}`,
)
const STRICT = GATE.replace('"items.update", ', '')
const CASES = (sections: string) => `version: 1
subjects: { worker: { roles: [worker] } }
actions:
  delete: { tool: items.delete, args: { id: i-1 } }
  update: { tool: items.update, args: { id: i-1 } }
${sections}`
const MUST_NOT_HOLD = CASES('must_deny: [{ name: nobody deletes, actions: [delete] }]\n')
const MUST = CASES('must_allow: [{ actions: [update] }]\n')
/** Denies deletes, and so holds what must be denied. */
const DENIES = GATE.replace('effect: require_approval', 'effect: deny')

describe('what no revision may get wrong', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({
      policies: { 'gate.yaml': DENIES, 'tests/must.yaml': MUST_NOT_HOLD },
    })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const live = async (): Promise<string> => (await gate.call('GET', '/policy')).body.revision
  const put = async (files: object) =>
    gate.call('PUT', '/policy/files', {
      body: { files: { 'tools.yaml': TOOLS, ...files } },
      headers: { 'if-match': await live() },
    })
  const codes = ({ body }: Awaited<ReturnType<typeof put>>): string[] =>
    (body.error?.diagnostics ?? []).map(({ code }: { code: string }) => code)

  it('is not published, reloaded or tried, and one entry says which case it was', async () => {
    const before = await live()
    for (const text of [LENIENT, GATE]) {
      const refused = await put({ 'gate.yaml': text, 'tests/must.yaml': MUST_NOT_HOLD })
      expect([refused.status, codes(refused)]).to.deep.equal([422, ['must_deny_failed']])
      expect(refused.body.error.diagnostics[0]).to.include({ file: 'tests/must.yaml', line: 6 })
      expect(refused.body.error.diagnostics[0].message).to.match(/^nobody deletes: worker delete: /)
    }
    expect(await live()).to.equal(before)
  })

  it('holds for what follows, also where the case is taken out in the same edit', async () => {
    const both = await put({ 'gate.yaml': LENIENT })
    expect([both.status, codes(both)]).to.deep.equal([422, ['must_deny_failed']])
    fs.writeFileSync(path.join(gate.policyDir, 'gate.yaml'), LENIENT)
    fs.rmSync(path.join(gate.policyDir, 'tests'), { recursive: true })
    const reload = await gate.call('POST', '/policy/reload', { body: {} })
    expect([reload.status, codes(reload)]).to.deep.equal([422, ['must_deny_failed']])
    writePolicies(gate.policyDir, { 'gate.yaml': DENIES, 'tests/must.yaml': MUST_NOT_HOLD })
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    // In two steps it can be done, and both are on record.
    expect((await put({ 'gate.yaml': DENIES })).status).to.equal(200)
    const lenient = await put({ 'gate.yaml': LENIENT })
    expect(lenient.status, lenient.text).to.equal(200)
  })

  it('must_allow is what may not be lost, and what a rollback does not stop at', async () => {
    const needs = await put({ 'gate.yaml': STRICT, 'tests/must.yaml': MUST })
    expect([needs.status, codes(needs)]).to.deep.equal([422, ['must_allow_failed']])
    const before = await live()
    expect((await put({ 'gate.yaml': GATE, 'tests/must.yaml': MUST })).status).to.equal(200)
    // Deletes may be asked for by now; what is live from here on forbids them.
    const forbids = await put({ 'gate.yaml': DENIES, 'tests/must.yaml': MUST_NOT_HOLD })
    expect(forbids.status, forbids.text).to.equal(200)
    const back = await gate.call('POST', '/policy/rollback', {
      body: { revision: before, reason: 'drill' },
    })
    expect([back.status, codes(back)]).to.deep.equal([422, ['must_deny_failed']])
  })

  it('is asked at the start, and a policy with nothing in it is none', async () => {
    const start = (files: Record<string, string>) => {
      const policyDir = scratch('must')
      writePolicies(policyDir, files)
      return TestGate.start({ policyDir }).then(
        async (started) => {
          await started.stop()
          return 'started'
        },
        (error: Error) => error.message,
      )
    }
    expect(await start({ 'gate.yaml': LENIENT, 'tests/must.yaml': MUST_NOT_HOLD })).to.match(
      /^the policy does not load: tests\/must\.yaml:6/,
    )
    const nothing = 'version: 1\nenvironment: test\n'
    const empty = { 'gate.yaml': nothing, 'tools.yaml': 'version: 1\nupstreams: {}\ntools: {}\n' }
    expect(await start(empty)).to.include('there is no tool, no rule and no module')
  })
})
