import { expect } from 'chai'
import { parseTable } from '../../src/sources/csv.ts'
import { Findings } from '../../src/sources/diagnostics.ts'
import { TestGate } from '../support/gate.ts'

describe('the record as a table', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  async function table(query = '') {
    const answer = await gate.call('GET', `/audit/timeline.csv${query}`)
    expect(answer.status, answer.text).to.equal(200)
    const parsed = parseTable('audit.csv', answer.text, new Findings())
    return { answer, rows: parsed?.rows ?? [] }
  }

  it('has every entry that the filters name once, newest first, as it was hashed', async () => {
    for (let n = 0; n < 5; n++) {
      await gate.act(key, { tool: 'items.update', args: { id: '1', note: `n${n}` } })
    }
    const { answer, rows } = await table()
    expect(answer.headers.get('content-type')).to.include('text/csv')
    expect(answer.headers.get('content-disposition')).to.equal('attachment; filename="audit.csv"')
    const size = (await gate.call('GET', '/state')).body.audit.size
    expect(rows.map(({ seq }) => Number(seq))).to.deep.equal(
      Array.from({ length: size }, (_, n) => size - n),
    )
    for (const { body = '', tool } of rows) expect(JSON.parse(body).tool).to.equal(tool)
    const outcomes = (await table('?kind=outcome&agent=worker-1')).rows
    expect(outcomes.map(({ state }) => state)).to.deep.equal(Array(5).fill('succeeded'))
    expect(
      (await table(`?until=${encodeURIComponent('2001-01-01T00:00:00Z')}`)).rows,
    ).to.deep.equal([])
    expect((await gate.call('GET', '/audit/timeline.csv?agent=nobody')).status).to.equal(404)
  })

  it('has nothing that a spreadsheet would run, and keeps quotes and lines apart', async () => {
    const reason = '=HYPERLINK("http://x","y"),\r\n"quoted"'
    const scope = { tool: 'items.get' }
    for (const engaged of [true, false]) {
      const answer = await gate.call('PUT', '/kill-switch', { body: { engaged, scope, reason } })
      expect(answer.status, answer.text).to.equal(200)
    }
    const { answer, rows } = await table('?kind=kill_switch.engaged')
    expect(rows.map((row) => row['reason'])).to.deep.equal([`'${reason}`])
    expect(answer.text).to.not.match(/(?:^|,)"?[=+@-]/m)
  })
})
