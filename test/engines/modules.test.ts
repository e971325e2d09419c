import { expect } from 'chai'
import { gzipSync } from 'node:zlib'
import wabtInit from 'wabt'
import { decide } from '../../src/decide/index.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Bundle } from '../../src/policy/index.ts'
import { closeAll } from '../../src/policy/load.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { facts, request } from '../decide/asking.ts'
import { tarGz } from '../policy/archive.ts'
import { bundleOf, findingsOf } from '../policy/sample.ts'

const RESULTS = {
  allow: '[{"result":true}]',
  deny: '[{"result":["no",{"code":"own_code","message":"because"}]}]',
  undefined: '[]',
  misshapen: '[{"result":{"a":1}}]',
}

// A module that obeys OPA's ABI and nothing more: values are JSON text, and what it answers to
// `agent/deny` depends on one byte in the input. `~` loops, `^` traps, `|` denies, `$` misbehaves.
const wat = (entrypoints: string, builtins = '{}') => `(module
  (import "env" "memory" (memory 2))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (global (export "opa_wasm_abi_minor_version") i32 (i32.const 3))
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 1024) ${text(builtins)})
  (data (i32.const 2048) ${text(entrypoints)})
  (data (i32.const 3072) ${text(RESULTS.allow)})
  (data (i32.const 4096) ${text(RESULTS.deny)})
  (data (i32.const 5120) ${text(RESULTS.undefined)})
  (data (i32.const 6144) ${text(RESULTS.misshapen)})
  (func (export "builtins") (result i32) i32.const 1024)
  (func (export "entrypoints") (result i32) i32.const 2048)
  (func (export "opa_malloc") (param i32) (result i32)
    global.get $heap
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func (export "opa_json_parse") (param i32 i32) (result i32) local.get 0)
  (func (export "opa_json_dump") (param i32) (result i32) local.get 0)
  (func (export "opa_heap_ptr_get") (result i32) global.get $heap)
  (func (export "opa_heap_ptr_set") (param i32) (global.set $heap (local.get 0)))
  (func (export "opa_eval") (param $ctx i32) (param $entry i32) (param $data i32)
      (param $at i32) (param $len i32) (param $ptr i32) (param $format i32) (result i32)
    (local $end i32) (local $c i32)
    (if (i32.eqz (local.get $entry)) (then (return (i32.const 3072))))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $c (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $c) (i32.const 126)) (then (loop $ever (br $ever))))
      (if (i32.eq (local.get $c) (i32.const 94)) (then unreachable))
      (if (i32.eq (local.get $c) (i32.const 124)) (then (return (i32.const 4096))))
      (if (i32.eq (local.get $c) (i32.const 36)) (then (return (i32.const 6144))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    i32.const 5120)
)`

const text = (json: string): string => `"${json.replaceAll('"', '\\"')}\\00"`
const BOTH = '{"agent/allow":0,"agent/deny":1}'

async function assemble(source: string): Promise<Uint8Array> {
  const wabt = await wabtInit()
  const module = wabt.parseWat('test.wat', source)
  const { buffer } = module.toBinary({})
  module.destroy()
  return buffer
}

describe('prebuilt policy modules', () => {
  let bundle: Bundle
  let wasm: Uint8Array

  before(async () => {
    wasm = await assemble(wat(BOTH))
    bundle = await bundleOf({ 'policy.wasm': wasm })
  })

  after(async () => {
    await Promise.all(bundle.modules.map(async (module) => module.close?.()))
  })

  const ask = async (reason: string, role = 'stranger'): Promise<Decision> =>
    decide(request('notes.list', {}, { reason }), facts({}, [role]), bundle)

  const brief = ({ effect, reasons }: Decision) => [effect, ...reasons.map((one) => one.code)]

  it('lets a module allow what no permission mentions', async () => {
    expect(brief(await ask('please'))).to.deep.equal(['allow', 'module_allow'])
  })

  it('lets a module deny what a permission allows, with its own code or a given one', async () => {
    const decision = await ask('|', 'writer')
    expect(brief(decision)).to.deep.equal(['deny', 'rego_deny', 'own_code'])
    expect(decision.reasons.map((one) => one.message)).to.deep.equal(['no', 'because'])
  })

  it('denies with policy_error when the module traps, and goes on', async () => {
    expect(brief(await ask('^', 'writer'))).to.deep.equal(['deny', 'policy_error'])
    expect((await ask('please')).effect).to.equal('allow')
  })

  it('denies with policy_timeout when the module does not come back, and goes on', async () => {
    expect(brief(await ask('~', 'writer'))).to.deep.equal(['deny', 'policy_timeout'])
    expect((await ask('please')).effect).to.equal('allow')
  })

  it('denies with policy_error when a rule has the wrong shape', async () => {
    expect(brief(await ask('$', 'writer'))).to.deep.equal(['deny', 'policy_error'])
  })

  it('answers each of many questions asked at once, a hanging one among them', async () => {
    const asks = Array.from({ length: 60 }, (_, n) => ask(n === 20 ? '~' : n % 2 ? '|' : 'x'))
    const effects = (await Promise.all(asks)).map((one) => one.effect)
    const want = effects.map((_, n) => (n === 20 || n % 2 ? 'deny' : 'allow'))
    expect(effects).to.deep.equal(want)
  })

  it('takes an undefined answer for nothing, not for an allow', async () => {
    const only = await assemble(wat('{"agent/deny":1}'))
    const bundle = await bundleOf({ 'policy.wasm': only })
    const decision = await decide(request('notes.list'), facts({}, ['stranger']), bundle)
    expect(brief(decision)).to.deep.equal(['deny', 'no_permission'])
    await bundle.modules[0]?.close?.()
  })

  it('loads a bundle made by opa build', async () => {
    const packed = tarGz({ '/policy.wasm': wasm, '/data.json': '{"x":1}', '/.manifest': '{}' })
    const bundle = await bundleOf({ 'bundle.tar.gz': packed })
    expect(bundle.modules.map((module) => module.name)).to.deep.equal(['bundle.tar.gz'])
    const decision = await decide(request('notes.list'), facts({}, ['stranger']), bundle)
    expect(decision.effect).to.equal('allow')
    await bundle.modules[0]?.close?.()
  })

  describe('of sources', () => {
    const LISTED = 'package lists\n\nlisted(id) if id in data.teams.blue.notes\n\nunread := 1\n'
    const OWN = {
      'agent.rego':
        'package agent\n\ndeny contains "listed" if data.lists.listed(input.resource.id)\n',
    }
    const bundleWith = (files: Record<string, string>) => ({
      ...OWN,
      'lists.tar.gz': tarGz({
        '/.manifest': '{"revision":"1","roots":["lists","teams"]}',
        ...files,
      }),
    })
    const options = { compiler: REGO_COMPILER }

    it('is compiled together with the directory, its documents by their folders', async () => {
      const bundle = await bundleOf(
        bundleWith({
          '/lists/listed.rego': LISTED,
          '/lists/listed_test.rego': 'package lists\n\ntest_never if false\n',
          '/teams/blue/data.json': '{"notes": ["n-1"]}',
          '/teams/data.yaml': 'red: {}\n',
        }),
        options,
      )
      const asked = request('notes.get', { id: 'n-1' })
      expect(brief(await decide(asked, facts(), bundle))).to.deep.equal(['deny', 'rego_deny'])
      await closeAll(bundle.modules)
    })

    it('may decide by itself, being of package agent', async () => {
      const text = 'package agent\n\ndeny contains "no" if input.action.name == "notes.get"\n'
      const bundle = await bundleOf({ 'b.tar.gz': tarGz({ 'a/b.rego': text }) }, options)
      const asked = request('notes.get', { id: 'n-1' })
      expect(brief(await decide(asked, facts(), bundle))).to.deep.equal(['deny', 'rego_deny'])
      await closeAll(bundle.modules)
    })

    it('is read in the dialect that its manifest names, for all of it or by file', async () => {
      const old = 'package agent\n\ndeny[msg] { input.action.name == "notes.get"; msg := "no" }\n'
      const asked = request('notes.get', { id: 'n-1' })
      for (const manifest of [
        { rego_version: 0 },
        { rego_version: 1, file_rego_versions: { '/old/*.rego': 0 } },
      ]) {
        const files = { '/.manifest': JSON.stringify(manifest), '/old/a.rego': old }
        const bundle = await bundleOf({ 'b.tar.gz': tarGz(files) }, options)
        expect(brief(await decide(asked, facts(), bundle))).to.deep.equal(['deny', 'rego_deny'])
        await closeAll(bundle.modules)
      }
      const lost = { '/.manifest': '{"rego_version":0}', '/a.rego': 'package agent\nx { ] }' }
      const [found] = await findingsOf({ 'b.tar.gz': tarGz(lost) }, options)
      expect(found).to.include({ code: 'module_load', file: 'b.tar.gz' })
      expect(found?.message).to.contain('a.rego')
    })

    it('may have documents of any kind below the root', async () => {
      const text =
        'package agent\n\ndeny contains "no" if { data.on.here; data.on.n > 1; input.action.name == "notes.get" }\n'
      const files = { '/a.rego': text, '/on/here/data.json': 'true', '/on/n/data.yaml': '2\n' }
      const bundle = await bundleOf({ 'b.tar.gz': tarGz(files) }, options)
      const asked = request('notes.get', { id: 'n-1' })
      expect(brief(await decide(asked, facts(), bundle))).to.deep.equal(['deny', 'rego_deny'])
      await closeAll(bundle.modules)
      const [found] = await findingsOf(
        { 'b.tar.gz': tarGz({ ...files, '/data.json': '1' }) },
        options,
      )
      expect(found?.code).to.equal('archive')
    })

    it('is no way around how large a file may be', async () => {
      const files = { '/x.rego': `package agent\n\n# ${'x'.repeat(5 << 20)}\n` }
      const found = await findingsOf({ 'b.tar.gz': tarGz(files) }, options)
      expect(found.map(({ code, file }) => [code, file])).to.deep.equal([
        ['file_too_large', 'b.tar.gz'],
      ])
      expect(found[0]?.message).to.contain('x.rego')
    })

    it('is held to what reaches package agent, and to that wholly', async () => {
      const of = async (files: Record<string, string>, own: Record<string, string> = OWN) =>
        (await findingsOf({ ...bundleWith(files), ...own }, options)).map(
          ({ file, line, code }) => `${file}:${line} ${code}`,
        )
      const teams = { '/teams/blue/data.json': '{"notes": []}' }
      expect(await of({ '/l.rego': LISTED })).to.deep.equal(['lists.tar.gz/l.rego:3 no_such_data'])
      const typing = LISTED.replace('id in', 'id == input.resorce.id; id in')
      const braced = typing.replace('if id', 'if { id').replace('notes\n', 'notes }\n')
      expect(await of({ '/l.rego': braced, ...teams })).to.deep.equal([
        'lists.tar.gz/l.rego:3 no_such_input',
      ])
      const none = { 'agent.rego': 'package agent\n\nallow if input.action.name == "x"\n' }
      expect(await of({ '/l.rego': LISTED, ...teams }, none)).to.deep.equal([
        'lists.tar.gz:1 unreachable_package',
      ])
    })

    it('is refused where its documents stand in the way of others', async () => {
      const files = { '/l.rego': LISTED, '/data.json': '{"teams": 1}' }
      expect(
        (await findingsOf({ ...bundleWith(files), 'data/teams.json': '{}' }, options))[0],
      ).to.include({
        code: 'duplicate_data',
        file: 'lists.tar.gz',
      })
      const twice = {
        '/data.json': '{"a": {"b": 1}}',
        '/a/data.json': '{"b": 2}',
        '/l.rego': LISTED,
      }
      expect((await findingsOf(bundleWith(twice), options))[0]?.code).to.equal('duplicate_data')
    })

    it('may not have nearly the name of what the gate asks for', async () => {
      const text =
        'package agent\n\nallow if input.action.name == "x"\n\ndenny contains "no" if true\n\nelse_where := 1\n'
      const [found, ...more] = await findingsOf({ 'b.tar.gz': tarGz({ 'a.rego': text }) }, options)
      expect(found).to.include({ code: 'unknown_rule', file: 'b.tar.gz/a.rego', line: 5 })
      expect(found?.hint).to.contain('`deny`')
      expect(more).to.deep.equal([])
    })

    it('says of the old dialect how it is brought to the new one', async () => {
      const text = 'package agent\n\ndeny["no"] { input.action.name == "x" }\n'
      const [found] = await findingsOf({ 'b.tar.gz': tarGz({ 'a.rego': text }) }, options)
      expect(found).to.include({ code: 'rego_parse_error', file: 'b.tar.gz/a.rego', line: 3 })
      expect(found?.hint).to.include('portcullis rego migrate')
    })
  })

  it('leaves entrypoints alone that are for others', async () => {
    const also = await assemble(wat('{"agent/allow":0,"test/deny":1,"agent/main":1}'))
    const bundle = await bundleOf({ 'policy.wasm': also })
    await bundle.modules[0]?.close?.()
  })

  it('refuses at load what could not be run', async () => {
    const cases: [string, Record<string, Uint8Array | string>][] = [
      ['module_load', { 'policy.wasm': Buffer.from('not wasm') }],
      ['module_load', { 'policy.wasm': await assemble('(module)') }],
      ['module_builtin', { 'policy.wasm': await assemble(wat(BOTH, '{"http.send":0}')) }],
      ['module_entrypoints', { 'policy.wasm': await assemble(wat('{"agents/allow":0}')) }],
      ['unknown_rule', { 'p.wasm': await assemble(wat('{"agent/allow":0,"agent/denny":1}')) }],
      ['unknown_rule', { 'p.wasm': await assemble(wat('{"agent/allow":0,"agents/deny":1}')) }],
      ['module_load', { 'b.tar.gz': tarGz({ 'data.json': '{}' }) }],
      ['archive', { 'b.tar.gz': Buffer.from('not gzip') }],
      ['archive', { 'b.tar.gz': gzipSync(Buffer.alloc(512, 65)) }],
      ['archive', { 'b.tar.gz': gzipSync(Buffer.alloc(40 << 20)) }],
      ['archive', { 'b.tar.gz': tarGz({ '../policy.wasm': wasm }) }],
      ['archive', { 'b.tar.gz': tarGz({ '/policy.wasm': wasm, '/data.json': '[' }) }],
      [
        'duplicate_data',
        { 'b.tar.gz': tarGz({ 'p.wasm': wasm, 'data.json': '{"a":1}' }), 'data/a.json': '1' },
      ],
    ]
    for (const [code, files] of cases) {
      const found = await findingsOf(files)
      expect(
        found.map((one) => one.code),
        Object.keys(files).join(),
      ).to.include(code)
    }
  })
})
