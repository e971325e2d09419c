import { expect } from 'chai'
import fc from 'fast-check'
import { Worker } from 'node:worker_threads'
import { TextSet } from '../../src/lib/text-set.ts'

describe('a set of texts in shared memory', () => {
  it('has what was put in, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', maxLength: 40 })),
        fc.array(fc.string({ unit: 'binary', maxLength: 40 })),
        (texts, others) => {
          const set = TextSet.of(texts)
          const plain = new Set(texts)
          expect(set.size).to.equal(plain.size)
          for (const text of [...texts, ...others]) expect(set.has(text)).to.equal(plain.has(text))
        },
      ),
    )
  })

  it('holds many, and tells those that begin alike apart', () => {
    const names = Array.from({ length: 20_000 }, (_, n) => `person${n}@example.com`)
    const set = TextSet.of(names)
    expect(names.every((name) => set.has(name))).to.equal(true)
    expect(names.some((name) => set.has(`x${name}`) || set.has(name.slice(0, -1)))).to.equal(false)
    expect(set.has('x'.repeat(100_000))).to.equal(false)
    expect(TextSet.of([]).has('')).to.equal(false)
  })

  it('goes to another thread without being copied', async () => {
    const { parts } = TextSet.of(['a', 'b'])
    const worker = new Worker(
      'const { parentPort, workerData } = require("worker_threads"); parentPort.postMessage(workerData)',
      { eval: true, workerData: parts, execArgv: [] },
    )
    const there = await new Promise<typeof parts>((resolve) => worker.once('message', resolve))
    await worker.terminate()
    const set = new TextSet(there)
    expect([set.has('a'), set.has('b'), set.has('c')]).to.deep.equal([true, true, false])
    parts.bytes[4] = 'c'.charCodeAt(0)
    expect(there.bytes[4]).to.equal('c'.charCodeAt(0))
  })
})
