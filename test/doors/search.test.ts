import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'

describe('a search', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    for (const name of ['mail-sorter', 'Mail-Writer', 'odd_name%']) {
      const body = { name, roles: ['worker'], owner: 'ada' }
      expect((await gate.call('POST', '/api/v1/agents', { body })).status).to.equal(201)
    }
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  async function found(q: string): Promise<string[]> {
    const { status, body, text } = await gate.call('GET', `/search?q=${encodeURIComponent(q)}`)
    expect(status, text).to.equal(200)
    type Found = { type: string; title: string; detail: string }
    return body.results.map(({ type, title, detail }: Found) => `${type} ${title} ${detail}`)
  }

  it('finds agents by a part of the name in whatever case, or by the owner, once', async () => {
    const ada = ['agent mail-sorter ada', 'agent Mail-Writer ada']
    expect(await found('MAIL-')).to.deep.equal(ada)
    expect(await found('ada')).to.deep.equal([...ada, 'agent odd_name% ada'])
    expect(await found('%')).to.deep.equal(['agent odd_name% ada'])
  })

  it('finds tools by a part of the name', async () => {
    expect(await found('items.del')).to.deep.equal(['tool items.delete test'])
    expect(await found('no such thing')).to.deep.equal([])
  })

  it('finds an action and its approval by their ids, and nothing by a part of one', async () => {
    const { body } = await gate.act(key, { tool: 'items.delete', args: { id: '1' } })
    expect(await found(` ${body.action_id} `)).to.deep.equal(['action items.delete held'])
    expect(await found(body.approval.id)).to.deep.equal(['approval items.delete pending'])
    expect(await found(body.action_id.slice(0, -1))).to.deep.equal([])
  })

  it('refuses none, and what is too long', async () => {
    for (const query of ['', '?q=', `?q=${'x'.repeat(201)}`]) {
      const { status, body } = await gate.call('GET', `/search${query}`)
      expect([status, body.error.code], query).to.deep.equal([400, 'invalid_request'])
    }
  })
})
