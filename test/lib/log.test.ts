import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { createLogger, RotatingFile } from '../../src/lib/log.ts'
import { scratch } from '../support/scratch.ts'

const MEGABYTE = 1 << 20

describe('the log file', () => {
  const sizes = (dir: string) =>
    Object.fromEntries(
      fs.readdirSync(dir).map((name) => [name, fs.statSync(path.join(dir, name)).size]),
    )
  const text = (file: string) => fs.readFileSync(file, 'utf8')

  it('keeps three backups of about 1 MB and drops what is older', () => {
    const dir = scratch('log')
    const file = new RotatingFile(path.join(dir, 'app.log'))
    const line = (n: number) => `${String(n).padStart(6, '0')} ${'x'.repeat(10_000)}\n`
    const lines = 600
    for (let n = 0; n < lines; n++) file.write(line(n))
    const found = sizes(dir)
    expect(Object.keys(found).sort()).to.deep.equal([
      ...['app.log', 'app.log.1', 'app.log.2', 'app.log.3'],
    ])
    for (const size of Object.values(found)) expect(size).to.be.at.most(MEGABYTE)
    for (const name of ['app.log.1', 'app.log.2', 'app.log.3']) {
      expect(found[name]).to.be.greaterThan(MEGABYTE - 20_000)
    }
    const kept = ['.3', '.2', '.1', ''].map((end) => text(path.join(dir, `app.log${end}`))).join('')
    const numbers = kept
      .split('\n')
      .filter(Boolean)
      .map((one) => Number(one.slice(0, 6)))
    const first = lines - numbers.length
    expect(numbers).to.deep.equal(Array.from({ length: numbers.length }, (_, n) => first + n))
  })

  it('goes on where it was after a restart, and rotates then too', () => {
    const name = path.join(scratch('log'), 'deep', 'app.log')
    new RotatingFile(name, 10).write('12345678\n')
    const again = new RotatingFile(name, 10)
    again.write('abc\n')
    expect([text(name), text(`${name}.1`)]).to.deep.equal(['abc\n', '12345678\n'])
  })

  it('writes a line longer than the file may be, whole and alone', () => {
    const name = path.join(scratch('log'), 'app.log')
    const file = new RotatingFile(name, 10)
    file.write('a\n')
    file.write(`${'y'.repeat(50)}\n`)
    file.write('b\n')
    expect([text(name), text(`${name}.1`).length, text(`${name}.2`)]).to.deep.equal([
      ...['b\n', 51, 'a\n'],
    ])
  })

  it('holds one JSON object a line, with level, time and message', () => {
    const name = path.join(scratch('log'), 'app.log')
    const log = createLogger('info', name)
    log.debug('not this')
    log.info({ request_id: 'req_1', text: 'line\nbreak' }, 'request')
    log.error({ err: new Error('why') }, 'failed')
    const [info, error] = text(name)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(info).to.include({ level: 30, msg: 'request', request_id: 'req_1', text: 'line\nbreak' })
    expect(Date.parse(String(info?.['time']))).to.be.greaterThan(0)
    expect(error?.['err']).to.include({ message: 'why' })
  })
})
