import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { readTarGz } from '../../src/sources/tar.ts'
import { scratch } from '../support/scratch.ts'
import { entry, tarOf } from '../policy/archive.ts'

const LONG = `${'deep/'.repeat(30)}${'n'.repeat(120)}.rego`
const UMLAUT = 'regeln/größe.rego'

const names = (packed: Uint8Array): string[] => [...readTarGz(packed).keys()]
const pax = (...records: readonly [string, string][]): Buffer =>
  Buffer.concat(records.map(([key, value]) => record(key, value)))

function record(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`)
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length++
  return Buffer.concat([Buffer.from(String(length)), rest])
}

describe('An archive', () => {
  for (const format of ['ustar', 'pax', 'gnu']) {
    it(`is read as \`tar --format=${format}\` writes it`, () => {
      const dir = scratch('tar')
      // What ustar cannot hold, it does not write.
      const files =
        format === 'ustar' ? ['a.rego', `${'d/'.repeat(60)}b.json`] : ['a.rego', UMLAUT, LONG]
      for (const name of files) {
        fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
        fs.writeFileSync(path.join(dir, name), `# ${name}`)
      }
      const packed = execFileSync('tar', [`--format=${format}`, '-C', dir, '-czf', '-', '.'])
      expect(names(packed).sort()).to.deep.equal([...files].sort())
      const read = readTarGz(packed)
      for (const name of files) {
        expect(new TextDecoder().decode(read.get(name)), name).to.equal(`# ${name}`)
      }
    })
  }

  it('is read with the names and sizes of PAX headers, in the order of Go and of others', () => {
    const body = Buffer.from('package a\n')
    const packed = tarOf([
      entry('pax_global_header', 'g', pax(['comment', 'abc'])),
      entry(
        'PaxHeaders/x',
        'x',
        pax(['mtime', '1.5'], ['path', LONG], ['size', String(body.length)]),
      ),
      entry(LONG.slice(0, 90), '0', body),
      entry('b.rego', '0', body),
    ])
    expect(names(packed)).to.deep.equal([LONG, 'b.rego'])
  })

  it('is refused where a header does not say what it should', () => {
    const cases: [string, Buffer][] = [
      ['PAX header', entry('x', 'x', Buffer.from('99 path=a\n'))],
      ['PAX header', entry('x', 'x', Buffer.from('path=a\n'))],
      ['PAX header', entry('x', 'x', pax(['size', '-1']))],
      ['sparse', entry('x', 'x', pax(['GNU.sparse.name', 'a']))],
      ['not a plain name', entry('x', 'x', pax(['path', '../../etc/passwd']))],
    ]
    for (const [message, first] of cases) {
      const packed = tarOf([first, entry('a.rego', '0', Buffer.from('x'))])
      expect(() => readTarGz(packed), message).to.throw(message)
    }
    expect(() => readTarGz(tarOf([entry('a.rego', '2', Buffer.alloc(0))]))).to.throw('regular file')
    expect(() => readTarGz(gzipSync(entry('a', '0', Buffer.alloc(0))))).to.throw('no end')
  })
})
