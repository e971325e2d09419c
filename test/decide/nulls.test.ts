import { expect } from 'chai'
import { buildTarget, type Bundle, matchRoute, withBody } from '../../src/policy/index.ts'
import type { Json } from '../../src/model/json.ts'
import { bundleOf, findingsOf, gateWith, TOOLS } from '../policy/sample.ts'
import { codes, decideNow, facts, request } from './asking.ts'

// What a schema says so that an optional arg may be null, in the three ways that are in use.
const NULLABLE = TOOLS.replace('tag: { type: string }', "tag: { type: [string, 'null'] }")
  .replace('limit: { type: integer }', "limit: { anyOf: [{ type: integer }, { type: 'null' }] }")
  .replace('all: { type: boolean }', "all: { oneOf: [{ type: 'null' }, { type: boolean }] }")
  .replace('lines: { type: array,', "lines: { type: [array, 'null'],")
  .replace(
    'to: { type: array, items: { type: string } }',
    "to: { type: [array, 'null'], items: { type: [string, 'null'] } }",
  )
  .replace('file: { type: string }', "file: { type: [string, 'null'] }")

const GUARDS = [
  '{ id: dnc, kind: do_not_contact, tools: [notes.write], lists: [] }',
  '{ id: bulk, kind: bulk_limit, tools: [notes.write], max_items: 1, windows: [{ count: recipients, limit: 2, per_s: 60 }] }',
  "{ id: files, kind: path_whitelist, tools: [notes.write], allowed_dirs: ['docs'] }",
]

describe('A null where the schema allows it', () => {
  let bundle: Bundle
  before(async () => {
    bundle = await bundleOf({ 'gate.yaml': gateWith(...GUARDS), 'tools.yaml': NULLABLE })
  })

  const write = (args: Record<string, Json>) =>
    decideNow(request('notes.write', { id: 'n-1', ...args }), facts(), bundle)
  const target = (tool: string, args: Record<string, Json>) => {
    const found = bundle.tools.get(tool)
    const upstream = found && bundle.upstreams.get(found.upstream)
    if (!found || !upstream) throw new Error('no tool')
    return buildTarget(found, upstream, args)
  }

  it('is nobody as a recipient, no path and nothing that is counted', () => {
    for (const args of [{ to: null }, { to: [null] }, { lines: null }, { file: null }]) {
      expect(codes(write(args)), JSON.stringify(args)).to.deep.equal(['permission_allow'])
    }
    expect(
      write({ to: [null, 'a@x.org'] }).reservations.map(({ members }) => members),
    ).to.deep.equal(write({ to: ['a@x.org'] }).reservations.map(({ members }) => members))
  })

  it('does not hide what stands beside it', () => {
    expect(codes(write({ to: [null, 'a b'] }))).to.include('recipient_unreadable')
    expect(codes(write({ to: null, file: 'etc/x' }))).to.include('path_not_allowed')
  })

  it('is left out of the query, and of a call that has no body', () => {
    expect(target('notes.list', { tag: null, limit: 3, all: null }).query).to.equal('limit=3')
    expect(target('notes.list', { tag: 'a', other: null })).to.deep.include({
      query: 'tag=a',
      body: null,
    })
  })

  it('goes on in a body as it came', () => {
    expect(target('notes.write', { id: 'n-1', to: null }).body).to.equal('{"to":null}')
  })

  it('leaves a proxied query to be read by the type beside it', () => {
    const found = matchRoute(bundle.routes, 'notes', 'GET', '/notes', 'tag=7&limit=7&all=true')
    expect(found).to.deep.include({ args: { tag: '7', limit: 7, all: true } })
  })

  it('may stand in a body for an arg of the path or the query', () => {
    const tool = bundle.tools.get('notes.list')
    expect(tool && withBody(tool, {}, { tag: null, other: 1 })).to.deep.equal({ other: 1 })
  })

  it('does not open an object that may also be null', async () => {
    for (const may of [
      "{ type: [object, 'null'] }",
      "{ anyOf: [{ type: object, properties: { a: { type: object } } }, { type: 'null' }] }",
    ]) {
      const text = TOOLS.replace('text: { type: string }', `text: ${may}`)
      const { argsChecks } = await bundleOf({ 'tools.yaml': text })
      const check = argsChecks.get('notes.write')
      expect(check?.({ id: 'n', text: null })).to.equal(undefined)
      expect(check?.({ id: 'n', text: {} })).to.equal(undefined)
      for (const open of [{ other: 1 }, { a: { other: 1 } }]) {
        expect(check?.({ id: 'n', text: open }), may).to.be.a('string')
      }
    }
  })

  it('is refused as before where the schema does not allow it', async () => {
    const strict = await bundleOf({ 'gate.yaml': gateWith(...GUARDS) })
    const asked = request('notes.write', { id: 'n-1', to: null })
    expect(codes(decideNow(asked, facts(), strict))).to.deep.equal(['invalid_args'])
  })

  it('does not let a query arg be of two types', async () => {
    for (const type of ['[string, integer]', "[array, 'null']", "'null'"]) {
      const text = TOOLS.replace('tag: { type: string }', `tag: { type: ${type} }`)
      const found = await findingsOf({ 'tools.yaml': text })
      expect(
        found.map(({ code }) => code),
        type,
      ).to.include('bad_query_arg')
    }
  })
})
