import { expect } from 'chai'
import fc from 'fast-check'
import { Framing } from '../../src/protocols/mcp/framing.ts'

/** What is read of bytes that come in these pieces. */
function read(chunks: readonly Uint8Array[], bytesMax = 1 << 20) {
  const texts: string[] = []
  const framing = new Framing(bytesMax, ({ text }) => texts.push(text))
  for (const chunk of chunks) framing.write(chunk)
  framing.end()
  return { texts, framing }
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe('messages of an MCP server', () => {
  const ONE =
    '{"jsonrpc":"2.0","id":1,"result":{"big":12345678901234567890,"text":"ä\\n\u{1F600}"}}'
  const TWO = '{"jsonrpc":"2.0","method":"notifications/progress"}'
  const pretty = JSON.stringify({ id: 1, result: { a: [1, { b: 2 }] } }, null, 2)

  const FRAMES: Readonly<Record<string, readonly [string, readonly string[]]>> = {
    'one text': [ONE, [ONE]],
    'one text on many lines': [pretty, [pretty]],
    'text by text, line by line': [`${TWO}\n${ONE}\n`, [TWO, ONE]],
    events: [`event: message\ndata: ${TWO}\n\ndata:${ONE}\n\n`, [TWO, ONE]],
    'events with CRLF, comments and ids': [
      `: hi\r\n\r\nid: 7\r\nretry: 1\r\ndata: ${ONE}\r\n\r\n`,
      [ONE],
    ],
    'an event on many lines': [
      `data: {"id":1,\ndata: "result":{}}\n\n`,
      ['{"id":1,\n"result":{}}'],
    ],
    'an event that is cut off before its end': [`data: ${ONE}`, [ONE]],
    'a priming event without data': [`id: 1\ndata: \n\ndata: ${ONE}\n\n`, [ONE]],
  }
  for (const [what, [text, expected]] of Object.entries(FRAMES)) {
    it(`are the same however they are cut: ${what}`, () => {
      const whole = Buffer.from(text)
      fc.assert(
        fc.property(fc.array(fc.nat(whole.length), { maxLength: 8 }), (cuts) => {
          const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length]
          const chunks = at.slice(1).map((to, n) => whole.subarray(at[n], to))
          expect(read(chunks).texts).to.deep.equal(expected)
        }),
        { numRuns: 50 },
      )
    })
  }

  it('are bounded one by one, and not by how long a stream goes on', () => {
    const event = `data: ${TWO}\n\n`
    const { texts, framing } = read(
      Array.from({ length: 100 }, () => bytes(event)),
      200,
    )
    expect(texts).to.have.length(100)
    expect(framing.isTooLarge).to.equal(false)
    const large = read([bytes(`data: {"a":"${'x'.repeat(300)}"}\n\n`)], 200)
    expect([large.texts.length, large.framing.isTooLarge]).to.deep.equal([0, true])
  })

  it('are none where it is no JSON, and that is known', () => {
    for (const text of ['<html>', 'data: {\n\n', '[]', 'data: 7\n\n']) {
      const { texts } = read([bytes(text)])
      expect(texts, text).to.deep.equal([])
    }
  })
})
