import { expect } from 'chai'
import { machine } from '../../src/rego/codegen/machine.ts'
import { Code, OP } from '../../src/rego/wasm/instructions.ts'
import { readModule, SECTION } from '../../src/rego/wasm/module.ts'
import { Reader } from '../../src/rego/wasm/reader.ts'
import { Writer } from '../../src/rego/wasm/writer.ts'

const I32 = 0x7f
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

describe('rego: the WebAssembly reader and writer', () => {
  const unsigned = [0, 1, 63, 64, 127, 128, 255, 16_383, 16_384, 2_097_151, 2 ** 31, 2 ** 32 - 1]
  const signed = [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, -8_193, 2 ** 31 - 1, -(2 ** 31)]

  it('numbers come back as they were, in as few bytes as there are', () => {
    for (const value of unsigned) {
      const bytes = new Writer(1).u32(value).finish()
      expect(new Reader(bytes).u32()).to.equal(value)
      expect(bytes.length).to.equal(Math.max(1, Math.ceil(Math.log2(value + 1) / 7)))
    }
    for (const value of signed) {
      const reader = new Reader(new Writer(1).s32(value).finish())
      expect(reader.s32()).to.equal(value)
      expect(reader.at).to.equal(reader.bytes.length)
    }
  })

  it('names come back as they were, and a writer grows as it must', () => {
    const names = ['', 'a', 'zażółć gęślą jaźń', '🛂'.repeat(500)]
    const writer = new Writer(1)
    for (const name of names) writer.name(name)
    const reader = new Reader(writer.finish())
    expect(names.map(() => reader.name())).to.deep.equal(names)
    expect(() => reader.byte()).to.throw(RangeError)
  })

  it('a function runs in the engine as it was written', () => {
    const code = new Code(2)
    const local = code.newLocal()
    code.get(0).get(1).op(OP.add).tee(local).const(-7).op(OP.mul)
    const wasm = moduleOf(code)
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), {})
    const run = exports['f'] as (a: number, b: number) => number
    expect(run(2, 3)).to.equal(-35)
    expect(run(2 ** 31 - 1, 1)).to.equal(-(2 ** 31))
  })

  it('branches go where their labels are, however deep they are written', () => {
    const code = new Code(2)
    const found = code.newLocal()
    const outer = code.block()
    const inner = code.block()
    const other = code.block()
    code.get(0).brTable([other, inner], outer)
    code.end().const(10).set(found).br(outer)
    code.end().const(20).set(found)
    code.end().get(found)
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(code)), {})
    const run = exports['f'] as (a: number, b: number) => number
    expect([run(0, 0), run(1, 0), run(2, 0)]).to.deep.equal([10, 20, 0])
  })

  it('a module is taken apart into what it was put together of', () => {
    const code = new Code(2)
    code.get(0)
    const parts = readModule(moduleOf(code))
    expect(parts.exports).to.deep.equal([{ name: 'f', kind: 0, index: 0 }])
    expect(parts.functions).to.deep.equal([0])
    expect([...(parts.bodies[0] ?? [])]).to.deep.equal([...code.finish()])
  })

  it('the machine is read as the engine reads it', () => {
    const { exports, functionImports, imports } = machine()
    expect(functionImports).to.be.at.most(imports.length)
    expect(exports.filter(({ kind }) => kind === 0).length).to.equal(machine().functionIndex.size)
  })
})

function moduleOf(code: Code): Uint8Array<ArrayBuffer> {
  const type = new Writer().u32(1).bytes([0x60, 2, I32, I32, 1, I32])
  const functions = new Writer().u32(1).u32(0)
  const exported = new Writer().u32(1).name('f').byte(0).u32(0)
  const bodies = new Writer().u32(1).sized(code.finish())
  const out = new Writer()
    .bytes(HEADER)
    .section(SECTION.type, type)
    .section(SECTION.function, functions)
    .section(SECTION.export, exported)
    .section(SECTION.code, bodies)
  return new Uint8Array(out.finish())
}
