import { expect } from 'chai'
import fc from 'fast-check'
import { decide } from '../../src/decide/index.ts'
import { GatewayError } from '../../src/errors.ts'
import type { JsonObject } from '../../src/model/json.ts'
import { type Bundle, buildTarget, matchRoute, withBody } from '../../src/policy/index.ts'
import { facts, request } from '../decide/asking.ts'
import { need } from '../policy/corpora.ts'
import { escapes } from '../policy/oracle.ts'
import { bundleOf, gateWith, TOOLS } from '../policy/sample.ts'

const ROUNDS = [0, 1, 2, 3]

describe('targets and routes', () => {
  let bundle: Bundle

  before(async () => {
    bundle = await bundleOf({
      'gate.yaml': gateWith(
        '{ id: p, kind: path_whitelist, tools: [notes.write], allowed_dirs: [docs] }',
      ),
      'tools.yaml': `${TOOLS}  notes.recent:
    upstream: notes
    method: GET
    path: /notes/recent
    effect: read
    args: {}
  notes.line:
    upstream: notes
    method: DELETE
    path: /notes/{id}/lines/{line}
    query: [force]
    effect: write
    args: { required: [id, line], properties: { id: { type: string }, line: { type: integer }, force: { type: boolean } } }
`,
    })
  })

  const build = (name: string, args: JsonObject) => {
    const tool = bundle.tools.get(name)
    const upstream = bundle.upstreams.get('notes')
    if (!tool || !upstream) throw new Error('no such tool')
    return buildTarget(tool, upstream, args)
  }
  const code = (work: () => unknown): string => {
    try {
      work()
      return 'built'
    } catch (error) {
      if (error instanceof GatewayError) return error.code
      throw error
    }
  }
  const match = (method: string, path: string, query = '') =>
    matchRoute(bundle.routes, 'notes', method, path, query)

  it('places each arg in the path, the query as declared, or the body', () => {
    expect(build('notes.list', { limit: 5, tag: 'a b&c', all: false })).to.deep.equal({
      upstream: 'notes',
      method: 'GET',
      path: '/notes',
      query: 'tag=a%20b%26c&limit=5&all=false',
      body: null,
    })
    expect(build('notes.write', { id: 'ä1', text: 'x', lines: [] })).to.deep.include({
      path: '/notes/%C3%A41',
      query: '',
      body: '{"lines":[],"text":"x"}',
    })
    expect(build('notes.write', { id: '1' }).body).to.equal('{}')
  })

  it('refuses args that have no place, and values that are no text', () => {
    expect(code(() => build('notes.get', { id: '1', extra: 1 }))).to.equal('invalid_request')
    expect(code(() => build('notes.get', {}))).to.equal('invalid_request')
    expect(code(() => build('notes.get', { id: {} }))).to.equal('invalid_request')
    expect(code(() => build('notes.list', { tag: '\ud800' }))).to.equal('invalid_request')
    expect(code(() => build('notes.write', { id: '1', text: '\ud800' }))).to.equal(
      'invalid_request',
    )
  })

  it('refuses a parameter that could be more or other than one segment', () => {
    const bad = [
      '',
      '.',
      '..',
      '...',
      ' ..',
      'a/b',
      'a\\b',
      'a%2fb',
      'a;b',
      'a?b',
      'a#b',
      'a\u0000',
    ]
    const sly = [
      '\uff0e\uff0e',
      'a\uff0fb',
      'a\u2215b',
      '.\u200b.',
      'a\u202eb',
      ' a',
      'a ',
      'x'.repeat(257),
    ]
    for (const id of [...bad, ...sly]) {
      expect(
        code(() => build('notes.get', { id })),
        JSON.stringify(id),
      ).to.equal('invalid_request')
    }
    for (const id of ['a', 'a.b', 'T-1', 'a@b.c', '日本', "o'neil", 'a+b']) {
      expect(
        code(() => build('notes.get', { id })),
        id,
      ).to.equal('built')
    }
  })

  it('refuses a parameter that names the path of a more specific tool', () => {
    for (const id of ['recent', 'Recent', '\uff52ecent']) {
      expect(code(() => build('notes.get', { id }))).to.equal('invalid_request')
    }
    expect(match('GET', '/notes/recent')).to.deep.include({ ok: true, args: {} })
  })

  it('finds the tool and the typed args of a canonical call', () => {
    const found = match('DELETE', '/notes/a%20b/lines/7', 'force=true')
    expect(found).to.deep.include({ ok: true, args: { id: 'a b', line: 7, force: true } })
    expect(found.ok && found.tool.name).to.equal('notes.line')
  })

  it('takes other spellings that mean the same to every server', () => {
    const spelt: [string, string, JsonObject][] = [
      ['/notes/%61', '', { id: 'a' }],
      ['/%6Eotes/a', '', { id: 'a' }],
      ['/notes/%c3%a4', '', { id: 'ä' }],
      ["/notes/o'neil@x:y!$&()*+,=", '', { id: "o'neil@x:y!$&()*+,=" }],
      ['/notes', 'limit=1&tag=a', { tag: 'a', limit: 1 }],
      ['/notes', 'limit=%31', { limit: 1 }],
      ['/notes', 'tag=a+b', { tag: 'a b' }],
      ['/notes', 'tag=a%20b', { tag: 'a b' }],
      ['/notes', 'tag=a%2fb', { tag: 'a/b' }],
      ['/notes', 't%61g=a', { tag: 'a' }],
      ['/notes', '', {}],
    ]
    for (const [path, query, args] of spelt) {
      const found = match('GET', path, query)
      expect(found, `${path}?${query}`).to.deep.include({ ok: true, args })
      if (!found.ok) continue
      const written = build(found.tool.name, found.args)
      expect(match('GET', written.path, written.query)).to.deep.include({ ok: true, args })
    }
  })

  it('refuses spellings that servers read in different ways', () => {
    const bad: [string, string][] = [
      ['/notes/ä', ''],
      ['/notes/%2e%2e', ''],
      ['/notes/%252e%252e', ''],
      ['/notes/a%252Fb', ''],
      ['/notes/%c0%af', ''],
      ['/notes/a%0ab', ''],
      ['/notes', 'tag=%c0%af'],
      ['/notes', 'tag=a%00'],
      ['/notes', '=a'],
      ['/notes', 'tag=a&&limit=1'],
      ['/notes', 'tag[]=a'],
      ['/notes', 'limit=+1'],
      ['/notes/a%2Fb', ''],
      ['/notes/a%5Cb', ''],
      ['/notes/a%25b', ''],
      ['/notes/a%00', ''],
      ['/notes/%C0%AE', ''],
      ['/notes/%ED%A0%80', ''],
      ['/notes/..', ''],
      ['/notes/.', ''],
      ['/notes//a', ''],
      ['/notes/a/', ''],
      ['//notes/a', ''],
      ['/notes\\a', ''],
      ['/notes/a;x=1', ''],
      ['/notes/a%3Bx', ''],
      ['/notes/%', ''],
      ['notes/a', ''],
      ['http://evil.example/notes/a', ''],
      ['/notes/a', 'x=1'],
      ['/notes', 'tag=a&tag=b'],
      ['/notes', 'limit=01'],
      ['/notes', 'limit=1.0'],
      ['/notes', 'limit=9007199254740993'],
      ['/notes', 'all=TRUE'],
      ['/notes', 'tag'],
      ['/notes', 'tag=a&'],
    ]
    for (const [path, query] of bad) {
      expect(match('GET', path, query), `${path}?${query}`).to.include({ ok: false })
    }
    expect(match('POST', '/notes')).to.include({ ok: false, code: 'no_route' })
    expect(match('GET', '/nowhere')).to.include({ ok: false, code: 'no_route' })
    const elsewhere = matchRoute(bundle.routes, 'other', 'GET', '/notes', '')
    expect(elsewhere).to.include({ ok: false, code: 'no_route' })
  })

  it('keeps what belongs into path and query out of the body', () => {
    const tool = bundle.tools.get('notes.write')
    if (!tool) throw new Error('no tool')
    expect(withBody(tool, { id: '1' }, { text: 'x' })).to.deep.equal({ id: '1', text: 'x' })
    expect(code(() => withBody(tool, { id: '1' }, { id: '2' }))).to.equal('invalid_request')
  })

  it('comes back from the wire as it went out', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    const args = fc.record({ id: text, line: fc.maxSafeInteger(), force: fc.boolean() })
    fc.assert(
      fc.property(args, (args) => {
        if (code(() => build('notes.line', args)) !== 'built') return
        const target = build('notes.line', args)
        const back = match('DELETE', target.path, target.query)
        expect(back).to.deep.include({ ok: true, args: { ...args, line: args.line + 0 } })
      }),
      { numRuns: 2000 },
    )
  })

  it('writes what it accepts in one spelling, which stays below its place', () => {
    const raw = fc.string({
      unit: fc.constantFrom(...'ab./%2eE5cCf;\\?#0'.split('')),
      maxLength: 12,
    })
    fc.assert(
      fc.property(raw, (raw) => {
        const found = match('GET', `/notes/${raw}`)
        if (!found.ok) return
        const { path } = build(found.tool.name, found.args)
        expect(match('GET', path)).to.deep.include({ ok: true, args: found.args })
        for (const rounds of ROUNDS) expect(escapes(path, '/notes/', rounds)).to.equal(false)
      }),
      { numRuns: 5000 },
    )
  })

  it('lets no public traversal payload out: path parameter, proxied path, path-valued arg', function () {
    this.timeout(600_000)
    const payloads = need(this, 'path-traversal.jsonl') as readonly string[]
    let naive = 0
    for (const payload of payloads) {
      if (ROUNDS.some((rounds) => escapes(`/notes/${payload}`, '/notes/', rounds))) naive++
      checkParameter(payload)
      for (const path of [`/notes/${payload}`, payload, `/${payload}`]) checkProxied(path)
      for (const file of [payload, `docs/${payload}`]) checkArg(file)
    }
    expect(naive, 'the data has teeth').to.be.above(payloads.length / 4)
  })

  function checkParameter(payload: string): void {
    if (code(() => build('notes.get', { id: payload })) !== 'built') return
    const { path } = build('notes.get', { id: payload })
    expect(path.split('/'), payload).to.have.length(3)
    for (const rounds of ROUNDS) expect(escapes(path, '/notes/', rounds), payload).to.equal(false)
  }

  function checkProxied(path: string): void {
    const found = match('GET', path)
    if (!found.ok) return
    const { path: written } = build(found.tool.name, found.args)
    for (const rounds of ROUNDS) {
      expect(escapes(written, '/notes/', rounds), path).to.equal(false)
    }
  }

  function checkArg(file: string): void {
    const decision = decide(request('notes.write', { id: '1', file }), facts(), bundle)
    if (decision instanceof Promise || decision.effect === 'deny') return
    for (const rounds of ROUNDS) {
      expect(escapes(`/${file}`, '/docs/', rounds), file).to.equal(false)
    }
  }
})
