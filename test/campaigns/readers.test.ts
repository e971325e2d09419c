import { expect } from 'chai'
import { readersCampaign } from './readers.ts'

// What `npm run campaign:readers` does with a thousand readers of each kind.
describe('readers of the record, some of which never read', function () {
  this.timeout(600_000)

  it('the quick ones over SSE and WebSocket lose nothing', async () => {
    const options = { sse: 100, webSockets: 100, slow: 10, actions: 400 }
    const { events, delivered, slowDropped } = await readersCampaign(options)
    expect(events).to.equal(400)
    expect(delivered).to.equal(80_000)
    expect(slowDropped).to.equal(10)
  })
})
