import { expect } from 'chai'
import { decide } from '../../src/decide/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { bundleOf, GATE, TOOLS } from '../policy/sample.ts'
import { codes, decideNow, facts, request } from './asking.ts'

describe('decide', () => {
  it('allows what a permission allows and names the revision', async () => {
    const bundle = await bundleOf()
    const decision = decideNow(request('notes.get', { id: '7' }), facts({}, ['reader']), bundle)
    expect(decision.effect).to.equal('allow')
    expect(codes(decision)).to.deep.equal(['permission_allow'])
    expect(decision.revision).to.equal(bundle.revision)
  })

  it('denies what no rule permits: undefined is not allow', async () => {
    const asked = request('notes.write', { id: '7' })
    const decision = decideNow(asked, facts({}, ['reader']), await bundleOf())
    expect(decision.effect).to.equal('deny')
    expect(codes(decision)).to.deep.equal(['no_permission'])
  })

  it('denies an unknown tool', async () => {
    const decision = decideNow(request('notes.burn'), facts(), await bundleOf())
    expect(codes(decision)).to.deep.equal(['unknown_tool'])
  })

  for (const status of ['initializing', 'paused', 'stopped', 'retired'] as const) {
    it(`denies an agent that is ${status}`, async () => {
      const known = facts()
      const agent = { ...known.agent, status }
      const decision = decideNow(request('notes.list'), { ...known, agent }, await bundleOf())
      expect(codes(decision)).to.deep.equal([`agent_${status}`])
      const wire = status === 'paused' ? 'agent_paused' : 'policy_denied'
      expect(decision.reasons[0]?.wire).to.equal(wire)
    })
  }

  it('denies args that do not fit the schema, with the wire code invalid_request', async () => {
    const bundle = await bundleOf()
    for (const args of [{}, { id: 7 }, { id: '7', extra: 1 }, { id: '7', constructor: 1 }]) {
      const decision = decideNow(request('notes.get', args as never), facts(), bundle)
      expect(codes(decision), JSON.stringify(args)).to.deep.equal(['invalid_args'])
      expect(decision.reasons[0]?.wire).to.equal('invalid_request')
    }
  })

  it('denies when a look-up failed or was not made', async () => {
    const bundle = await bundleOf({
      'tools.yaml': TOOLS.replace(
        'items: /lines',
        'items: /lines\n    facts: { note: { tool: notes.get, args: { id: /id } } }',
      ),
    })
    const asked = request('notes.write', { id: '7' })
    const failed = facts({ unavailable: { note: 'timeout' }, lookups: { note: {} } })
    expect(codes(decideNow(asked, failed, bundle))).to.deep.equal(['fact_unavailable'])
    expect(codes(decideNow(asked, facts(), bundle))).to.deep.equal(['fact_unavailable'])
    const known = facts({ lookups: { note: {} } })
    expect(decideNow(asked, known, bundle).effect).to.equal('allow')
  })

  it('refuses a named resource that is not the one the args act on', async () => {
    const bundle = await bundleOf()
    const named = (id: string) =>
      request('notes.get', { id: '7' }, { resource: { type: 'note', id } })
    expect(codes(decideNow(named('8'), facts(), bundle))).to.deep.equal(['resource_mismatch'])
    expect(decideNow(named('7'), facts(), bundle).effect).to.equal('allow')
  })

  it('combines: deny over require_approval over allow', async () => {
    const row = (effect: string) =>
      `  - { roles: [writer], tools: [notes.list], effect: ${effect} }\n`
    const held = await bundleOf({ 'gate.yaml': GATE + row('require_approval') })
    expect(decideNow(request('notes.list'), facts(), held).effect).to.equal('require_approval')
    const denied = await bundleOf({ 'gate.yaml': GATE + row('require_approval') + row('deny') })
    expect(decideNow(request('notes.list'), facts(), denied).effect).to.equal('deny')
  })

  const HOLDS: Record<string, string> = {
    'a guard':
      'guards: [{ id: g, kind: risk_patterns, sets: [urls], tools: [notes.write], effect: require_approval }]',
    'quiet hours':
      "guards: [{ id: g, kind: do_not_contact, tools: [notes.write], quiet_hours: { from: '10:00', to: '11:00', timezone: UTC, effect: require_approval } }]",
    Rego: '',
  }
  for (const [what, text] of Object.entries(HOLDS)) {
    const rego =
      'package agent\n\nrequire_approval contains "look" if input.action.name == "notes.write"\n'
    const holding = what === 'Rego' ? { 'agent.rego': rego } : {}
    const asked = request('notes.write', {
      id: '7',
      text: 'https://a.example',
      to: ['a@b.example'],
    })
    const bundleWith = (gate: string) =>
      bundleOf({ 'gate.yaml': `${gate}${text}\n`, ...holding }, { compiler: REGO_COMPILER })

    it(`denies what ${what} would hold and nothing grants: require_approval tightens`, async () => {
      const decision = decideNow(asked, facts({}, ['reader']), await bundleWith(GATE))
      expect([decision.effect, ...codes(decision)]).to.deep.equal(['deny', 'no_permission'])
    })

    it(`holds what ${what} holds and a permission grants, as an allow or as require_approval`, async () => {
      const bundle = await bundleWith(GATE)
      expect(decideNow(asked, facts(), bundle).effect).to.equal('require_approval')
      const row = "  - { roles: [reader], tools: ['notes.write'], effect: require_approval }\n"
      const granted = await bundleWith(GATE + row)
      expect(decideNow(asked, facts({}, ['reader']), granted).effect).to.equal('require_approval')
    })

    it(`warns at load of a tool that ${what} holds and nothing grants, with the row to add`, async () => {
      const bundle = await bundleWith(GATE.replace(/.*roles: \[writer\].*\n/, ''))
      const [warning] = bundle.warnings.filter(({ code }) => code === 'approval_without_grant')
      expect(warning?.message).to.include('notes.write')
      expect(warning?.hint).to.match(
        /roles: \[ROLE\], tools: \[.*notes\.write.*\], effect: require_approval/,
      )
      const granted = await bundleWith(GATE)
      expect(granted.warnings.map(({ code }) => code)).to.not.include('approval_without_grant')
    })
  }

  it('takes no grant from a permission in shadow, and none from a module that failed', async () => {
    const row =
      "  - { roles: [reader], tools: ['notes.write'], effect: require_approval, mode: shadow }\n"
    const shadow = await bundleOf({ 'gate.yaml': GATE + row })
    const asked = request('notes.write', { id: '7' })
    const decision = decideNow(asked, facts({}, ['reader']), shadow)
    expect(codes(decision)).to.deep.equal(['no_permission'])
  })

  it('denies with guard_error when a guard throws, and only notes it in shadow', async () => {
    const bundle = await bundleOf()
    const [first] = bundle.guards
    if (!first) throw new Error('no guard')
    for (const mode of ['enforce', 'shadow'] as const) {
      const bad = { ...first, mode, roles: new Set<string>(), evaluate: () => raise() }
      const guardsByTool = new Map([['notes.list', [bad, ...bundle.guards]]])
      const decision = decide(request('notes.list'), facts(), { ...bundle, guardsByTool })
      if (decision instanceof Promise) throw new Error('unexpected promise')
      expect(decision.effect).to.equal(mode === 'enforce' ? 'deny' : 'allow')
      const where = mode === 'enforce' ? decision.reasons : decision.shadow
      expect(where.map((one) => one.code)).to.deep.equal(['guard_error'])
    }
  })
})

function raise(): never {
  throw new Error('boom')
}
