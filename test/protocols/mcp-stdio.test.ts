import { expect } from 'chai'
import fc from 'fast-check'
import { childEnv, secretVariables } from '../../src/bundle/child-env.ts'
import { CredentialMask } from '../../src/protocols/http/credential-mask.ts'
import { Conversation } from '../../src/protocols/mcp/stdio/conversation.ts'
import { Lines } from '../../src/protocols/mcp/stdio/lines.ts'
import { Restarts } from '../../src/protocols/mcp/stdio/restarts.ts'

function read(chunks: readonly Buffer[], bytesMax: number) {
  const lines: string[] = []
  const long: string[] = []
  const reader = new Lines({
    bytesMax,
    onLine: (line) => lines.push(line.toString('utf8')),
    onLong: (ends) => long.push(ends),
  })
  for (const chunk of chunks) reader.write(chunk)
  return { lines, long }
}

describe('lines of a program', () => {
  it('are the same however they are cut, and the last counts when it has ended', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1 }).map((text) => text.replaceAll('\n', 'n'))),
        fc.integer({ min: 1, max: 7 }),
        (texts, size) => {
          const bytes = Buffer.from(texts.map((text) => `${text}\n`).join('') + 'not ended')
          const chunks: Buffer[] = []
          for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
          expect(read(chunks, 1 << 20).lines).to.deep.equal(
            texts.map((text) => text.toWellFormed()),
          )
        },
      ),
    )
  })

  it('are told by their ends where they are too long, and what follows is read', () => {
    for (const size of [1, 100, 10_000]) {
      const bytes = Buffer.from(`{"id":"first"${'x'.repeat(5_000)}"last"}\nnext\n`)
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      const { lines, long } = read(chunks, 1_000)
      expect(lines).to.deep.equal(['next'])
      expect(long).to.have.length(1)
      expect(long[0]).to.include('"first"').and.include('"last"').and.have.length.below(600)
    }
  })
})

describe('calls to a program', () => {
  it('take no more than their part of its places, whoever asks', async () => {
    const lines: string[] = []
    const mouth = { isWritable: true, unreadBytes: 0, write: (line: string) => lines.push(line) }
    const conversation = new Conversation({
      ...{ mouth, timeoutMs: 60_000, totalTimeoutMs: 60_000, mask: new CredentialMask([]) },
      ...{ onEcho: () => {}, onListChanged: () => {} },
    })
    const options = { requestId: 'r', actionId: '', mayStart: () => true }
    const ask = (holder: string) =>
      conversation.ask(holder, { method: 'tools/call', params: {}, options })
    const waiting = Array.from({ length: 64 }, () => ask('one'))
    const { exchange } = await ask('one')
    expect(exchange).to.deep.include({ type: 'not_sent', code: 'unreachable' })
    waiting.push(ask('other'))
    expect(lines).to.have.length(65)
    conversation.over('it ended')
    const ended = await Promise.all(waiting)
    expect(new Set(ended.map((one) => one.exchange.type))).to.deep.equal(new Set(['unknown']))
  })
})

describe('a program that ends by itself', () => {
  it('is started again later each time, and after five times left alone for five minutes', () => {
    const restarts = new Restarts()
    expect(restarts.waitMs(0)).to.equal(0)
    const waits: number[] = []
    let now = 1_000
    for (let n = 1; n <= 5; n++) {
      expect(restarts.crashed(now), `crash ${n}`).to.equal(n === 5)
      waits.push(restarts.waitMs(now))
      now += restarts.waitMs(now) * (n < 5 ? 1 : 0)
    }
    expect(waits).to.deep.equal([1_000, 2_000, 4_000, 8_000, 300_000])
    expect(restarts.waitMs(now + 299_999)).to.equal(1)
    expect(restarts.waitMs(now + 300_000)).to.equal(0)
    expect(restarts.crashed(now + 300_000)).to.equal(false)
  })
})

describe('the environment of a program', () => {
  const program = (env: readonly string[]) => ({ command: ['x'], env, cwd: null })
  const own = { PATH: '/bin', TOKEN: 'secret', EMPTY: '' }

  it('is what is named, and nothing of the rest', () => {
    const env = ['PATH', 'TOKEN', 'EMPTY', 'A=plain', 'B=a ${TOKEN} and ${PATH}', 'C=', 'D=x=y']
    expect(childEnv(program(env), own)).to.deep.equal({
      env: {
        ...{ PATH: '/bin', TOKEN: 'secret', EMPTY: '', A: 'plain' },
        ...{ B: 'a secret and /bin', C: '', D: 'x=y' },
      },
      missing: [],
    })
    expect(childEnv(program([]), own).env).to.deep.equal({})
  })

  it('says what is not set, and which values are secret', () => {
    const env = ['NOPE', 'A=${ALSO_NOT}', 'PATH', 'TOKEN', 'B=${OTHER}']
    expect(childEnv(program(env), own).missing).to.deep.equal(['NOPE', 'ALSO_NOT', 'OTHER'])
    expect(secretVariables(program(env))).to.deep.equal(['NOPE', 'ALSO_NOT', 'TOKEN', 'OTHER'])
  })
})
