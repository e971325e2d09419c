import { expect } from 'chai'
import path from 'node:path'
import { KINDS } from '../../src/decide/index.ts'
import type { JsonObject } from '../../src/model/json.ts'
import { loadBundle, type ModuleCompiler, PolicyStore } from '../../src/policy/index.ts'
import { codes, decideNow, facts, request } from '../decide/asking.ts'
import { bundleOf, GATE, OPTIONS, sampleFiles, TOOLS } from './sample.ts'

const SHIPPED = path.resolve(import.meta.dirname, '..', '..', 'policies')

describe('bundle', () => {
  it('has a revision that names its files and what the environment put in, and nothing else', async () => {
    const tools = TOOLS.replace(
      'http://127.0.0.1:9999/api',
      '${NOTES_URL:-http://127.0.0.1:9999/api}',
    )
    const revision = async (env: Record<string, string>, gate = GATE) =>
      (await bundleOf({ 'gate.yaml': gate, 'tools.yaml': tools }, { env, nowMs: Math.random() }))
        .revision
    const first = await revision({})
    expect(first).to.match(/^[0-9a-f]{64}$/)
    expect(await revision({ OTHER: 'x' })).to.equal(first)
    expect(await revision({ NOTES_URL: 'http://other.example' })).to.not.equal(first)
    expect(await revision({}, `${GATE}# a note\n`)).to.not.equal(first)
  })

  it('fills the environment into base_url and nowhere else', async () => {
    const tools = TOOLS.replace('http://127.0.0.1:9999/api', '${NOTES_URL}/v1').replace(
      'effect: read',
      'description: "${NOTES_URL}"\n    effect: read',
    )
    const bundle = await bundleOf(
      { 'tools.yaml': tools },
      { env: { NOTES_URL: 'https://n.example' } },
    )
    expect(bundle.upstreams.get('notes')?.baseUrl).to.equal('https://n.example/v1')
    expect(bundle.tools.get('notes.list')?.description).to.equal('${NOTES_URL}')
  })

  it('cannot be changed', async () => {
    const bundle = await bundleOf({ 'data/a.json': '{"deep": [1]}' })
    const tool = bundle.tools.get('notes.get')
    const attempts = [
      () => Object.assign(bundle, { environment: 'x' }),
      () => Object.assign(bundle.guards, { 0: undefined }),
      () => Object.assign(bundle.guards[0] ?? {}, { mode: 'off' }),
      () => Object.assign(tool ?? {}, { effectClass: 'read' }),
      () => Object.assign(tool?.argsSchema ?? {}, { type: 'array' }),
      () => Object.assign(bundle.data['a'] as JsonObject, { deep: 1 }),
      () => Object.assign(bundle.approvals.default, { quorum: 0 }),
      () => Object.assign(bundle.plans, { diffLinesMax: 0 }),
    ]
    for (const attempt of attempts) expect(attempt).to.throw(TypeError)
  })

  it('reads data documents of every kind under their name', async () => {
    const bundle = await bundleOf({
      'data/a.json': '{"x": [1, "é"]}',
      'data/b.yaml': 'k: [true, null]\n',
      'data/c.csv': '\uFEFFemail,why\r\n# a note\r\n"a,b","say ""no"""\r\n\r\nplain, spaced \r\n',
    })
    expect(bundle.data).to.deep.equal({
      a: { x: [1, 'é'] },
      b: { k: [true, null] },
      c: [
        { email: 'a,b', why: 'say "no"' },
        { email: 'plain', why: 'spaced' },
      ],
    })
    expect(bundle.counts).to.include({ files: 5, dataDocuments: 3, guards: 2, tools: 3 })
  })

  it('takes long flow collections on one line for wide, not for deep', async () => {
    const pairs = Array.from({ length: 500 }, (_, n) => `k${n}: [${n}]`).join(', ')
    const bundle = await bundleOf({ 'data/wide.yaml': `{ ${pairs} }\n` })
    expect(Object.keys(bundle.data['wide'] as JsonObject)).to.have.length(500)
  })

  it('resolves approval terms: the first rule for tool and role, else the default', async () => {
    const gate = `${GATE}approvals:
  default: { quorum: 2, approver_roles: [boss] }
  rules:
    - { tools: ['notes.w*'], roles: [writer], quorum: 3, expires_s: 60 }
    - { tools: [notes.write], quorum: 4 }
`
    const bundle = await bundleOf({ 'gate.yaml': gate })
    const terms = (tool: string, role: string) =>
      decideNow(request(tool, { id: '1' }), facts({}, [role]), bundle).approval
    const separation = { owner: true, keyIssuer: true }
    const boss = { approverRoles: ['boss'], resultTtlMs: 3_600_000, separation }
    expect(terms('notes.write', 'writer')).to.deep.equal({ quorum: 3, expiresMs: 60_000, ...boss })
    expect(terms('notes.write', 'reader')).to.deep.equal({
      quorum: 4,
      expiresMs: 3_600_000,
      ...boss,
    })
    expect(terms('notes.get', 'writer')).to.deep.equal({ quorum: 2, expiresMs: 3_600_000, ...boss })
  })

  it('closes args schemas, nested ones too, unless they say otherwise', async () => {
    const nested =
      'properties: { id: { type: string }, o: { type: object, properties: { a: {} } }, free: { type: object, additionalProperties: true } }'
    const tools = TOOLS.replace('properties: { id: { type: string } }', nested)
    const bundle = await bundleOf({ 'tools.yaml': tools })
    const check = bundle.argsChecks.get('notes.get')
    expect(check?.({ id: '1', o: { a: 1 }, free: { b: 1 } })).to.equal(undefined)
    expect(check?.({ id: '1', o: { b: 1 } })).to.match(/`\/o` has unknown member `b`/)
    expect(check?.({ id: '1', x: 1 })).to.match(/unknown member `x`/)
  })

  it('denies args that a schema cannot be held against, and knows formats', async () => {
    const args =
      'properties: { id: { type: string }, when: { type: string, format: date-time }, loop: { $ref: "#/$defs/l" } }, $defs: { l: { allOf: [{ $ref: "#/$defs/l" }] } }'
    const tools = TOOLS.replace('properties: { id: { type: string } }', args)
    const bundle = await bundleOf({ 'tools.yaml': tools })
    const answer = (change: JsonObject) =>
      codes(decideNow(request('notes.get', { id: '1', ...change }), facts(), bundle))
    expect(answer({ loop: 1 })).to.deep.equal(['invalid_args'])
    expect(answer({ when: 'soon' })).to.deep.equal(['invalid_args'])
    expect(answer({ when: '2026-11-19T10:30:00Z' })).to.deep.equal(['permission_allow'])
  })

  it('holds each arg against its own pattern, not against the first of the schema', async () => {
    const args =
      'properties: { id: { type: string, pattern: "^[a-z]+$" }, code: { type: string, pattern: "^[0-9]+$" } }'
    const tools = TOOLS.replace('properties: { id: { type: string } }', args)
    const check = (await bundleOf({ 'tools.yaml': tools })).argsChecks.get('notes.get')
    expect(check?.({ id: 'abc', code: '123' })).to.equal(undefined)
    expect(check?.({ id: 'abc', code: 'abc' })).to.match(/`\/code` must match/)
    expect(check?.({ id: '123', code: '123' })).to.match(/`\/id` must match/)
  })

  it('hands Rego sources to the compiler it is given, and reports what that finds', async () => {
    const seen: string[] = []
    const module = { name: 'rego', entrypoints: ['agent'], evaluate: () => NO }
    const good: ModuleCompiler = {
      compile: ({ sources }) => {
        seen.push(...sources.keys())
        return Promise.resolve({ ok: true, module, warnings: [] })
      },
    }
    const files = { 'agent.rego': 'package agent', 'deep/more.rego': 'package more' }
    const bundle = await bundleOf(files, { compiler: good })
    expect(seen).to.deep.equal(['agent.rego', 'deep/more.rego'])
    const asked = request('notes.list', {}, { context: { environment: 'spoofed', a: 1 } })
    expect(codes(decideNow(asked, facts(), bundle))).to.deep.equal(['not_today'])
    const diagnostic = {
      file: 'agent.rego',
      line: 3,
      col: 2,
      end: { line: 3, col: 4 },
      code: 'rego_parse_error',
      message: 'm',
      severity: 'error',
      hint: 'h',
    } as const
    const bad: ModuleCompiler = {
      compile: () => Promise.resolve({ ok: false, diagnostics: [diagnostic] }),
    }
    const result = await loadBundle(sampleFiles(files), { ...OPTIONS, compiler: bad })
    expect(result.ok ? [] : result.diagnostics).to.deep.equal([diagnostic])
  })

  it('gives modules AuthZEN\u2019s words, in which the agent cannot speak for the gate', async () => {
    const inputs: JsonObject[] = []
    const evaluate = (input: JsonObject) => {
      inputs.push(input)
      return NO
    }
    const module = { name: 'spy', entrypoints: [], evaluate }
    const bundle = { ...(await bundleOf()), modules: [module] }
    const context = { environment: 'spoofed', now_ms: 0, facts: {}, mine: 1 }
    decideNow(request('notes.get', { id: '7' }, { context }), facts(), bundle)
    expect(inputs[0]).to.deep.include({
      resource: { type: 'note', id: '7', properties: {} },
      context: { environment: 'production', now_ms: facts().nowMs, facts: {}, mine: 1 },
    })
    expect(inputs[0]?.['subject']).to.deep.include({ type: 'agent', id: 'agent-1' })
    expect(inputs[0]?.['action']).to.deep.include({ name: 'notes.get' })
  })
})

const NO = {
  allow: true,
  deny: [{ code: 'not_today', message: 'no' }],
  requireApproval: [],
  obligations: [],
}

describe('shipped policies', () => {
  const customer = { id: 'C-1', name: 'A', email: 'a@example.com', do_not_contact: false }
  const load = async () => {
    const result = await loadBundle(SHIPPED, {
      ...KINDS,
      env: {},
      nowMs: 0,
      defaults: { ratePerS: 5 },
    })
    if (!result.ok) throw new Error(JSON.stringify(result.diagnostics))
    return result.bundle
  }
  const mail = (change: JsonObject = {}) =>
    request('customers.email', { id: 'C-1', subject: 'Hello', body: 'It works again.', ...change })
  const known = (change: JsonObject = {}, role = 'support') =>
    facts({ lookups: { customer: { ...customer, ...change } } }, [role])

  it('load without a warning', async () => {
    expect((await load()).warnings).to.deep.equal([])
  })

  it('let support read and change tickets, and hold the closing of one', async () => {
    const bundle = await load()
    const effect = (tool: string, args: JsonObject, role = 'support') =>
      decideNow(request(tool, args), facts({}, [role]), bundle).effect
    expect(effect('tickets.list', { status: 'open' }, 'support-readonly')).to.equal('allow')
    expect(effect('tickets.update', { id: 'T-1', status: 'resolved' })).to.equal('allow')
    expect(effect('tickets.update', { id: 'T-1', status: 'closed' })).to.equal('require_approval')
    expect(effect('tickets.update', { id: 'T-1', status: 'open' }, 'support-readonly')).to.equal(
      'deny',
    )
    expect(effect('tickets.update', { id: 'T-1', status: 'burnt' })).to.equal('deny')
    expect(effect('tickets.update', { id: 'T-1', note: 'rm -rf /' })).to.equal('deny')
  })

  it('take ticket updates from a window of five a minute', async () => {
    const { reservations } = decideNow(
      request('tickets.update', { id: 'T-1', status: 'open' }),
      facts({}, ['support']),
      await load(),
    )
    const window = reservations.find((one) => one.key.startsWith('ticket_updates:actions:60:'))
    expect(window).to.include({ limit: 5n, windowMs: 60_000, amount: 1n })
  })

  it('hold e-mail to a customer, and refuse it by list, flag and look-up', async () => {
    const bundle = await load()
    expect(decideNow(mail(), known(), bundle).effect).to.equal('require_approval')
    const denied = [
      decideNow(mail(), known({ do_not_contact: true }), bundle),
      decideNow(mail(), known({ email: 'Former.Customer+x@example.com' }), bundle),
      decideNow(mail(), known({ email: 'x@mail.competitor.example' }), bundle),
      decideNow(mail({ id: 'c-blocked' }), known(), bundle),
    ]
    for (const decision of denied) expect(codes(decision)).to.include('do_not_contact')
    expect(codes(decideNow(mail(), facts({}, ['support']), bundle))).to.deep.equal([
      'fact_unavailable',
    ])
  })

  it('answer the documented reloads by path', async () => {
    const store = new PolicyStore({ ...OPTIONS, dir: SHIPPED, watch: false })
    await store.start()
    expect(await store.reload('test', 'policies/valid.yaml')).to.include({
      ok: true,
      changed: true,
    })
    expect(store.current.plans.diffLinesMax).to.equal(200)
    expect(store.current.plans.checkPath('policies/gate.yaml')?.code).to.equal('path_not_allowed')
    expect(store.current.guards).to.have.length.above(5)
    const invalid = await store.reload('test', 'policies/invalid.yaml')
    const found = invalid.ok ? [] : invalid.diagnostics
    expect(
      found.map((one) => `${one.file}:${one.line} ${one.code} ${one.hint ?? ''}`),
    ).to.deep.equal([
      'invalid.yaml:4 unknown_key did you mean `allowed_dirs`?',
      'invalid.yaml:5 wrong_type a list: [docs]',
      'invalid.yaml:6 wrong_type a number, without quotes',
    ])
    expect(store.rejection).to.equal(undefined)
    await store.stop()
  })
})
