import { expect } from 'chai'
import fc from 'fast-check'
import type { Json } from '../../src/model/json.ts'
import { buildTarget, type Bundle, matchRoute } from '../../src/policy/index.ts'
import { bundleOf, TOOLS } from '../policy/sample.ts'

const URLS = 10_000

/** What a server makes of a request target. */
type Reader = (path: string, query: string) => { path: readonly string[]; query: readonly string[] }

const pairsOf = (query: string, decode: (text: string) => string): string[] =>
  query === ''
    ? []
    : query.split('&').map((pair) => {
        const [name = '', ...rest] = pair.split('=')
        return `${decode(name)}=${decode(rest.join('='))}`
      })

const READERS: Readonly<Record<string, Reader>> = {
  // Browsers, Node, Deno.
  whatwg: (path, query) => {
    const url = new URL(`http://upstream.example${path}${query === '' ? '' : `?${query}`}`)
    return {
      path: url.pathname.slice(1).split('/').map(decodeURIComponent),
      query: [...url.searchParams].map(([name, text]) => `${name}=${text}`),
    }
  },
  // Splits and then decodes, as RFC 3986 has it.
  plain: (path, query) => ({
    path: path.slice(1).split('/').map(decodeURIComponent),
    query: pairsOf(query, (text) => decodeURIComponent(text.replaceAll('+', ' '))),
  }),
  // Decodes and then splits, as servers do that hand a decoded path to their router.
  eager: (path, query) => ({
    path: decodeURIComponent(path).replaceAll('\\', '/').slice(1).split('/'),
    query: pairsOf(query, (text) => decodeURIComponent(text.replaceAll('+', ' '))),
  }),
  // Cuts parameters of segments off, and decodes twice, as Java containers behind a proxy do.
  twice: (path, query) => ({
    path: decodeURIComponent(decodeURIComponent(path.replaceAll(/;[^/]*/g, '')))
      .slice(1)
      .split('/'),
    query: pairsOf(query, (text) => decodeURIComponent(text.replaceAll('+', ' '))),
  }),
}

const unit = fc.constantFrom(
  ...[
    'a',
    'b',
    'é',
    '%61',
    '%C3%A9',
    '%c3%a9',
    '%2f',
    '%2F',
    '%5c',
    '%2e',
    '.',
    '..',
    '%252e',
    '/',
    '//',
  ],
  ...[
    ';',
    '%3B',
    '\\',
    '%00',
    '%0a',
    '%20',
    '+',
    '%2B',
    '@',
    ':',
    ',',
    "'",
    '!',
    '$',
    '(',
    '*',
    '~',
    '-',
    '_',
    '%',
  ],
  ...['%c0%af', '%25', '#', '?', '=', '&', '[', ']', '{', ' '],
)
const text = fc.string({ unit, minLength: 1, maxLength: 8 })
const value = fc.oneof(text, fc.constantFrom('1', '01', '-1', '1.0', 'true', 'TRUE', ''))
const name = fc.constantFrom('tag', 't%61g', 'limit', 'all', 'TAG', 'other', 'tag[]', 'limit%20')
const query = fc
  .array(fc.tuple(name, fc.constantFrom('=', '=', '=', ''), value), { maxLength: 4 })
  .map((pairs) => pairs.map(([one, sign, of]) => `${one}${sign}${sign === '' ? '' : of}`).join('&'))
const path = fc.oneof(
  text.map((one) => `/notes/${one}`),
  fc.constantFrom('/notes', '/note%73', '/Notes', '/notes/', '/./notes', '//notes'),
)

const shown = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))

describe('spellings of a request', () => {
  let bundle: Bundle
  before(async () => {
    bundle = await bundleOf({ 'tools.yaml': TOOLS })
  })

  it(`mean the same to every server as to the gate, or are refused (${URLS} of them)`, function () {
    this.timeout(600_000)
    let taken = 0
    fc.assert(
      fc.property(path, query, (rawPath, rawQuery) => {
        const match = matchRoute(bundle.routes, 'notes', 'GET', rawPath, rawQuery)
        if (!match.ok) return
        taken++
        const upstream = bundle.upstreams.get('notes')
        if (!upstream) throw new Error('no upstream')
        const target = buildTarget(match.tool, upstream, match.args)
        const { id, ...args } = match.args
        const meant = {
          path: id === undefined ? ['notes'] : ['notes', shown(id)],
          query: Object.entries(args).map(([one, of]) => `${one}=${shown(of)}`),
        }
        for (const [reader, read] of Object.entries(READERS)) {
          const sent = read(rawPath, rawQuery)
          const written = read(target.path, target.query)
          for (const [what, got] of [
            ['sent', sent],
            ['written', written],
          ] as const) {
            expect(got.path, `${reader}, ${what}: ${rawPath}`).to.deep.equal(meant.path)
            expect([...got.query].sort(), `${reader}, ${what}: ${rawQuery}`).to.deep.equal(
              [...meant.query].sort(),
            )
          }
        }
      }),
      { numRuns: URLS },
    )
    expect(taken, 'some are taken').to.be.above(URLS / 100)
  })
})
