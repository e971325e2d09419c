import { expect } from 'chai'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { KINDS, JUDGE } from '../../src/decide/index.ts'
import { POLICY_LOADER } from '../../src/decide/load.ts'
import { loaderOf } from '../../src/policy/away.ts'
import { type Bundle, loadBundle } from '../../src/policy/index.ts'
import { closeAll } from '../../src/policy/load.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { inSlices } from '../../src/policy/slices.ts'
import { codes, decideNow, facts, request } from '../decide/asking.ts'
import { type Files, GATE, gateWith, sampleFiles, TOOLS } from './sample.ts'

const REQUEST = { env: { TICKETING_API_URL: 'http://127.0.0.1:9' }, nowMs: 1_700_000_000_000 }
const ROOT = path.resolve(import.meta.dirname, '../..')

const RICH: Files = {
  'gate.yaml': gateWith(
    '{ id: dnc, kind: do_not_contact, tools: [notes.write], lists: [blocked], frequency: { limit: 3, per_s: 60 } }',
    '{ id: risky, kind: risk_patterns, sets: [urls] }',
    "{ id: files, kind: path_whitelist, tools: [notes.write], allowed_dirs: [docs], deny_globs: ['*.pem'] }",
    '{ id: short, kind: args_schema, tools: [notes.write], schema: { properties: { text: { maxLength: 5 } } } }',
    '{ id: here, kind: bulk_limit, tools: [notes.write], max_items: 1, environments: [staging] }',
  ),
  'agent.rego':
    'package agent\n\ndeny contains "frozen" if input.resource.id in data.frozen\n\nobligations contains {"id": "log", "type": "log", "properties": {}} if input.action.name == "notes.get"\n',
  'data/frozen.json': '["n-9"]',
  'data/blocked.csv': 'email,reason\nbob@x.org,asked\n@y.org,all\n',
}

const ASKED = [
  request('notes.get', { id: 'n-1' }),
  request('notes.get', { id: 'n-9' }),
  request('notes.get', { id: 'n-1', other: 1 }),
  request('notes.write', { id: 'n-1', to: ['bob@x.org'] }),
  request('notes.write', { id: 'n-1', to: ['a@mail.y.org'] }),
  request('notes.write', { id: 'n-1', text: 'https://a.example' }),
  request('notes.write', { id: 'n-1', text: 'too long' }),
  request('notes.write', { id: 'n-1', file: 'docs/a.pem' }),
  request('no.such.tool', {}),
]

async function here(files: Files): Promise<Bundle> {
  const options = { ...REQUEST, ...KINDS, compiler: REGO_COMPILER, judge: JUDGE }
  const result = await loadBundle(sampleFiles(files), options)
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics))
  return result.bundle
}

async function away(from: string | Files): Promise<Bundle> {
  const given = typeof from === 'string' ? from : sampleFiles(from)
  const result = await POLICY_LOADER.load(given, REQUEST)
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics))
  return result.bundle
}

describe('A policy that is loaded in another thread', () => {
  it('decides as one that is loaded in this, and is the same revision', async () => {
    const [one, other] = [await here(RICH), await away(RICH)]
    for (const asked of ASKED) {
      const decide = (bundle: Bundle) => {
        const { trace: _, ...decision } = decideNow(asked, facts(), bundle)
        return decision
      }
      expect(decide(other), asked.action.name).to.deep.equal(decide(one))
    }
    const brief = ({ revision, files, counts, warnings, approvals, llm, environment }: Bundle) => ({
      ...{ revision, files, counts, warnings, approvals, llm, environment },
    })
    expect(brief(other)).to.deep.equal(brief(one))
    expect([...other.tools]).to.deep.equal([...one.tools])
    const guards = ({ guards: all }: Bundle) =>
      all.map(({ id, kind, mode, location, roles }) => ({ id, kind, mode, location, roles }))
    expect(guards(other)).to.deep.equal(guards(one))
    const byTool = ({ guardsByTool }: Bundle) =>
      [...guardsByTool].map(([name, all]) => [name, all.map(({ id }) => id)])
    expect(byTool(other)).to.deep.equal(byTool(one))
    await closeAll([...one.modules, ...other.modules])
  })

  it('is as unchangeable', async () => {
    const bundle = await away(RICH)
    const tool = bundle.tools.get('notes.write')
    expect(() => Object.assign(tool?.argsSchema as object, { type: 'x' })).to.throw(TypeError)
    expect(() => Object.assign(bundle.llm, { model: 'x' })).to.throw(TypeError)
    await closeAll(bundle.modules)
  })

  it('has its findings from there, all of them', async () => {
    const files = sampleFiles({ 'gate.yaml': `${GATE}x: 1\n`, 'data/a.json': '{' })
    const result = await POLICY_LOADER.load(files, REQUEST)
    if (result.ok) throw new Error('loads')
    expect(result.diagnostics.map(({ file, code }) => `${file} ${code}`)).to.deep.equal([
      'data/a.json json_syntax',
      'gate.yaml unknown_key',
    ])
  })

  it('is the live one where the directory still holds its files', async () => {
    const dir = path.join(ROOT, 'policies')
    const live = await away(dir)
    const again = await POLICY_LOADER.load(dir, { ...REQUEST, live })
    expect(again.ok && again.bundle).to.equal(live)
    await closeAll(live.modules)
  })

  it('explains from there what decided', async () => {
    const bundle = await away(RICH)
    const [module] = bundle.modules
    const input = { resource: { id: 'n-9' }, action: { name: 'x' } }
    const explained = await module?.explain?.(input)
    if (!explained?.ok) throw new Error(JSON.stringify(explained))
    expect(explained.answer.deny.map(({ message }) => message)).to.deep.equal(['frozen'])
    expect(explained.expressions.map(({ line }) => line)).to.include(3)
    await closeAll(bundle.modules)
  })

  it('leaves this thread free, however large it is', async () => {
    const tools = Array.from(
      { length: 300 },
      (_, n) =>
        `  t.n${n}: { upstream: notes, method: POST, path: '/t${n}/{id}', effect: write, args: { type: object, required: [id], properties: { id: { type: string } } } }\n`,
    )
    await away({}) // the thread has begun
    let [turns, isDone] = [0, false]
    const turn = () => {
      turns++
      if (!isDone) setImmediate(turn)
    }
    setImmediate(turn)
    const bundle = await away({
      'tools.yaml': TOOLS + tools.join(''),
      ...Object.fromEntries(
        Array.from({ length: 10 }, (_, n) => [`data/d${n}.json`, `[${'1,'.repeat(50_000)}1]`]),
      ),
    })
    isDone = true
    expect(bundle.counts.tools).to.equal(303)
    // Loaded in this thread, it gets a few dozen turns, one between two slices.
    expect(turns).to.be.above(500)
    expect(codes(decideNow(request('t.n7', { id: 'a' }), facts(), bundle))).to.include(
      'no_permission',
    )
    await closeAll(bundle.modules)
  })

  it('is refused when it unpacks to more than anybody needs, and the next one loads', async () => {
    const bombs = Object.fromEntries(
      Array.from({ length: 5 }, (_, n) => [`b${n}.tar.gz`, gzipSync(Buffer.alloc(40 << 20))]),
    )
    const result = await POLICY_LOADER.load(sampleFiles(bombs), REQUEST)
    expect(result.ok ? [] : [...new Set(result.diagnostics.map(({ code }) => code))]).to.deep.equal(
      ['archive'],
    )
    await closeAll((await away({})).modules)
  })

  it('is refused with a finding when the thread stops', async () => {
    const stopped = loaderOf(() => Promise.reject(new Error('the thread ended')), KINDS)
    const result = await stopped.load(sampleFiles(), REQUEST)
    if (result.ok) throw new Error('loads')
    expect(result.diagnostics[0]).to.include({ code: 'load_failed', file: '.' })
  })
})

describe('Work in slices', () => {
  it('lets others in between', async () => {
    const order: string[] = []
    const busy = (name: string) => {
      const until = performance.now() + 10
      while (performance.now() < until) order.length += 0
      order.push(name)
    }
    const work = inSlices(['a', 'b', 'c'], busy)
    setImmediate(() => order.push('other'))
    await work
    expect(order.indexOf('other')).to.be.within(0, 2)
    expect(order.filter((one) => one !== 'other')).to.deep.equal(['a', 'b', 'c'])
  })
})
