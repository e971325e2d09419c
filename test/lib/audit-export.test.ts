import { expect } from 'chai'
import {
  endLine,
  entryLine,
  headLine,
  readExportLine,
  statementLine,
} from '../../src/lib/audit-export.ts'

describe('a line of an export', () => {
  const entry = {
    seq: 7n,
    at: '2026-11-02T08:00:00.000Z',
    kind: 'decision',
    agentId: 'a-1',
    tool: 'items.update',
    effect: 'allow',
    actionId: 'act_1',
    body: '{"seq":7}',
    prevHash: '0'.repeat(64),
    hash: '1'.repeat(64),
  }
  const statement = {
    size: 7n,
    head: entry.hash,
    at: entry.at,
    keyId: '0123456789abcdef',
    signature: 'c2lnbmVk',
  }

  it('is read as it was written, whatever it says', () => {
    const read = (line: object) => readExportLine(JSON.stringify(line))
    expect(read(entryLine(entry))).to.deep.equal({ type: 'entry', entry })
    for (const type of ['checkpoint', 'archive'] as const) {
      expect(read(statementLine(type, statement))).to.deep.equal({ type, statement })
    }
    expect(read(endLine(7n))).to.deep.equal({ type: 'end' })
    expect(read(headLine(7n, entry.hash, []))).to.deep.equal({ type: 'other' })
    expect(readExportLine('')).to.equal(undefined)
  })

  it('that is cut off or of another kind stops nobody, and passes for no entry', () => {
    expect(readExportLine('{"type":"entry","se')).to.deep.equal({ type: 'malformed' })
    expect(readExportLine('null')).to.deep.equal({ type: 'malformed' })
    for (const text of ['[]', '1', '"entry"', '{"type":"later"}']) {
      expect(readExportLine(text)).to.deep.equal({ type: 'other' })
    }
  })

  it('with members that are missing or mistyped is read as one that no hash fits', () => {
    const line = readExportLine('{"type":"entry","seq":"-1","body":7}')
    if (line?.type !== 'entry') throw new Error('not an entry')
    expect(line.entry).to.include({ seq: 0n, body: '', hash: '' })
  })
})
