import { expect } from 'chai'
import { TestGate, type Answer } from '../support/gate.ts'
import { rawExchange, rawRequest } from '../support/raw.ts'
import { reply } from '../support/upstream.ts'
import { need } from '../policy/corpora.ts'

const CONCURRENCY = 16
const PATH_SAMPLE = 20

interface JsonCase {
  readonly name: string
  readonly expect: 'y' | 'n' | 'i'
  readonly base64: string
}

describe('public attack data at the edge', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ env: { LOG_LEVEL: 'warn' } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })

  const send = (raw: Uint8Array) => gate.call('POST', '/act', { key, raw })
  const request = async (id: string) => (await gate.call('GET', `/actions/${id}`)).body.request

  describe('json-parsing', () => {
    it('refuses each of them as a whole body, and has no effect', async function () {
      const cases = need(this, 'json-parsing.jsonl') as JsonCase[]
      await inParallel(cases, async ({ name, base64 }) => {
        const { status, text } = await send(Buffer.from(base64, 'base64'))
        expect([400], `${name}: ${text}`).to.include(status)
      })
      expect(gate.upstream.effects).to.have.length(0)
    })

    it('inside a request: what is not JSON is refused, what passes is scanned as it is sent', async function () {
      const cases = need(this, 'json-parsing.jsonl') as JsonCase[]
      const passed: string[] = []
      // One after another, so that the ledger of the upstream says which call was whose.
      for (const { name, expect: wanted, base64 } of cases) {
        gate.upstream.effects.length = 0
        const data = Buffer.from(base64, 'base64')
        const answer = await send(embedded(data))
        expect([200, 400], `${name}: ${answer.text}`).to.include(answer.status)
        if (wanted === 'n') expect(answer.status, name).to.equal(400)
        if (answer.status === 400) expect(gate.upstream.effects, name).to.have.length(0)
        else {
          passed.push(name)
          const seen: unknown = JSON.parse(gate.upstream.effects[0]?.body ?? '').data
          expect(seen, name).to.deep.equal(plain(JSON.parse(data.toString('utf8'))))
          const { args } = await request(answer.body.action_id)
          expect(args.data, name).to.deep.equal(seen)
        }
      }
      const refusedOnPurpose = cases
        .filter(({ name, expect: wanted }) => wanted === 'y' && !passed.includes(name))
        .map(({ name }) => name)
      // Duplicate keys, and the empty body of the surrounding request, are ours to refuse.
      for (const name of refusedOnPurpose) expect(name).to.match(/duplicate|extreme|huge|number/)
    })
  })

  describe('naughty strings', () => {
    it('come back from the record unchanged, wherever they were put', async function () {
      const strings = need(this, 'naughty-strings.jsonl') as string[]
      const recorded = new Map<string, { args: object; reason: string; context: object }>()
      await inParallel(strings, async (text) => {
        const args = { id: 'i-1', note: text }
        const body = { tool: 'items.update', args, reason: text, context: { [text]: [text] } }
        const answer = await gate.act(key, body)
        expectNoCrash(answer, text)
        if (answer.status === 200) recorded.set(text, await request(answer.body.action_id))
      })
      expect(recorded.size).to.be.greaterThan(strings.length - 5)
      for (const [text, { args, reason, context }] of recorded) {
        expect(args).to.deep.equal({ id: 'i-1', note: text })
        expect(reason).to.equal(text)
        expect(Object.entries(context)).to.deep.equal([[text, [text]]])
      }
      const sent = gate.upstream.effects.map(
        ({ body }) => (JSON.parse(body) as { note: string }).note,
      )
      expect([...new Set(sent)].sort()).to.deep.equal([...recorded.keys()].sort())
    })

    it('as tool name: denied, and the timeline finds them by it', async function () {
      const strings = need(this, 'naughty-strings.jsonl') as string[]
      await inParallel(strings, async (tool) => {
        const answer = await gate.act(key, { tool, args: {} })
        expectNoCrash(answer, tool)
        if (answer.status !== 403) return
        const query = `/audit/timeline?tool=${encodeURIComponent(tool)}&limit=1`
        const { status, body } = await gate.call('GET', query)
        expect([status, body.entries[0]?.tool], tool).to.deep.equal([200, tool])
      })
      expect(gate.upstream.effects).to.have.length(0)
    })

    it('as agent name, key name, path segment and query parameter', async function () {
      const strings = need(this, 'naughty-strings.jsonl') as string[]
      await inParallel(strings, async (text) => {
        const created = await gate.call('POST', '/api/v1/agents', { body: { name: text } })
        expectNoCrash(created, text)
        if (created.status === 201) {
          const { body } = await gate.call('GET', `/api/v1/agents/${created.body.agent.id}`)
          expect(body.agent.name).to.equal(text)
        }
        const encoded = encodeURIComponent(text)
        for (const route of [
          `/actions/${encoded}`,
          `/api/v1/agents/${encoded}`,
          `/actions?agent=${encoded}`,
          `/audit/timeline?agent=${encoded}`,
          `/approvals?status=${encoded}`,
        ]) {
          expectNoCrash(await gate.call('GET', route), text)
        }
      })
    })

    it('as a path parameter: refused, or exactly one segment that means the same', async function () {
      const strings = need(this, 'naughty-strings.jsonl') as string[]
      await inParallel(strings, async (id) => {
        expectNoCrash(await gate.act(key, { tool: 'items.get', args: { id } }), id)
      })
      const asked = new Set(strings)
      for (const { url } of gate.upstream.effects) {
        expect(url).to.match(/^\/items\/[^/?#]+$/)
        expect(asked.has(decodeURIComponent(url.slice('/items/'.length))), url).to.equal(true)
      }
    })
  })

  describe('path traversal', () => {
    it('over the wire: nothing lands outside the template, however often it is decoded', async function () {
      const payloads = sample(need(this, 'path-traversal.jsonl') as string[])
      const head = ['Host: gate', `X-API-Key: ${key}`]
      await inParallel(payloads, async (payload) => {
        const start = `GET /proxy/test/items/${payload} HTTP/1.1`
        const { answers } = await rawExchange(
          gate.gate.url,
          ...rawRequest(start, head).map((part) => Buffer.from(part as string, 'latin1')),
        )
        expect(answers.length, payload).to.be.at.most(1)
        for (const { status } of answers) expect(status, payload).to.be.lessThan(500)
      })
      expectOnlyItems(payloads.length)
    })

    it('as an argument: nothing lands outside the template either', async function () {
      const payloads = sample(need(this, 'path-traversal.jsonl') as string[])
      await inParallel(payloads, async (id) => {
        expectNoCrash(await gate.act(key, { tool: 'items.get', args: { id } }), id)
      })
      expectOnlyItems(payloads.length)
    })

    const sample = (all: string[]) => all.filter((_, index) => index % PATH_SAMPLE === 0)

    function expectOnlyItems(payloads: number): void {
      console.log(
        `      ${payloads} payloads, ${gate.upstream.effects.length} reached the upstream`,
      )
      for (const { url } of gate.upstream.effects) {
        for (const path of decodings(url)) expect(path).to.match(/^\/items\/(?!\.+$)[^/\\]+$/)
      }
    }
  })
})

/** Without negative zeros, which RFC 8785 writes as 0. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown

const embedded = (data: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from('{"tool":"items.update","args":{"id":"i-1","data":'),
    data,
    Buffer.from('}}'),
  ])

function expectNoCrash({ status, text }: Answer, what: string): void {
  expect(status, `${JSON.stringify(what)}: ${text}`).to.be.lessThan(500)
}

/** The path as it is, decoded once and decoded twice. */
function decodings(url: string): string[] {
  const paths = [url]
  for (let round = 0; round < 2; round++) {
    try {
      paths.push(decodeURIComponent(paths.at(-1) ?? ''))
    } catch {
      break // no upstream can decode it either
    }
  }
  return paths
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}
