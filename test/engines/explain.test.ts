import { expect } from 'chai'
import { explainTrace } from '../../src/decide/index.ts'
import type { TraceStep } from '../../src/model/decision.ts'
import type { ModuleAnswer, ModuleExplanation, PolicyModule } from '../../src/bundle/types.ts'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'
import { bundleOf } from '../policy/sample.ts'

const POLICY = `package agent

import input.action.properties.args

allow if input.action.name == "items.update"

deny contains "notes of that kind are not for you" if {
  startswith(args.note, "secret")
  not input.context.ticket
  count(input.subject.properties.roles) > minimum
}

deny contains sprintf("row %d is too large", [i]) if {
  some i, row in args.data
  row.size > 5
}

require_approval contains "two eyes" if {
  args.note == "hold"
}

minimum := 0
`

const FILES = { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'agent.rego': POLICY }

interface Expression {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly text: string
  readonly outcome: string
  readonly reached: number
  readonly held: number
  readonly values: Record<string, unknown>
  readonly missing: string[]
  readonly shortened: string[]
}
interface Step {
  readonly kind: string
  readonly expressions?: Expression[]
  readonly expressions_missing?: string
  readonly expressions_omitted?: number
}

describe('explainTrace', () => {
  const step = (message: string): TraceStep => ({
    source: 'rego',
    kind: 'module',
    mode: 'enforce',
    outcome: 'deny',
    reasons: [{ code: 'rego_deny', message, effect: 'deny', source: 'rego' }],
    observed: {},
  })
  const answer = (message: string): ModuleAnswer => ({
    allow: false,
    deny: [{ code: 'rego_deny', message }],
    requireApproval: [],
    obligations: [],
  })
  const asked = async (explanation: ModuleExplanation) => {
    const module: PolicyModule = {
      name: 'rego',
      entrypoints: [],
      evaluate: () => answer('no'),
      explain: async () => explanation,
    }
    const bundle = { ...(await bundleOf()), modules: [module] }
    const request = {
      subject: { type: 'agent', id: 'a' },
      action: { name: 'notes.list', properties: {} },
      resource: null,
      context: {},
      reason: null,
      costMicros: null,
    } as const
    const agent = {
      id: 'a',
      name: 'a',
      owner: 'o',
      roles: [],
      status: 'active',
      properties: {},
    } as const
    const facts = { nowMs: 0, agent, lookups: {}, unavailable: {} }
    return (await explainTrace([step('no')], request, facts, bundle))[0]
  }

  it('shows no expressions of an answer other than the recorded one', async () => {
    const right = await asked({ ok: true, answer: answer('no'), expressions: [], omitted: 0 })
    expect(right?.expressions).to.deep.equal([])
    const wrong = await asked({ ok: true, answer: answer('yes'), expressions: [], omitted: 0 })
    expect(wrong?.expressions).to.equal(undefined)
    expect(wrong?.expressions_missing).to.equal('evaluated once more, it answers differently')
  })

  it('says why when a module cannot be explained', async () => {
    const failed = await asked({ ok: false, message: 'it took too long' })
    expect(failed?.expressions_missing).to.equal('it took too long')
  })
})

describe('explain', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: FILES })
    key = await gate.agent('worker-1')
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const reload = async (files: Record<string, string>) => {
    writePolicies(gate.policyDir, { ...FILES, ...files })
    const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
    if (status !== 200) throw new Error(text)
  }
  const act = async (args: object) => {
    const { body } = await gate.act(key, { tool: 'items.update', args: { id: 'i-1', ...args } })
    return (body.action_id ?? body.error.action_id) as string
  }
  const step = async (actionId: string, as: { key?: string } = {}): Promise<Step> => {
    const { body } = await gate.call('GET', `/actions/${actionId}/explain`, as)
    return (body.trace as Step[]).find(({ kind }) => kind === 'module') as Step
  }
  const line = async (actionId: string, number: number): Promise<Expression | undefined> =>
    (await step(actionId)).expressions?.find(({ line }) => line === number)

  it('shows each expression that decided, with file, line, outcome and values', async () => {
    const id = await act({ note: 'secret plans' })
    expect(await line(id, 8)).to.deep.include({
      file: 'agent.rego',
      rule: 'data.agent.deny',
      text: 'startswith(args.note, "secret")',
      outcome: 'true',
      values: { 'args.note': 'secret plans' },
    })
    expect(await line(id, 9)).to.deep.include({
      text: 'not input.context.ticket',
      outcome: 'true',
      values: {},
      missing: ['input.context.ticket'],
    })
    expect((await line(id, 10))?.values).to.include({
      'count(input.subject.properties.roles)': 1,
      minimum: 0,
    })
  })

  it('tells false from undefined, and leaves out what was not reached', async () => {
    const id = await act({ note: 'open', data: 3 })
    expect(await line(id, 8)).to.include({ outcome: 'false' })
    expect(await line(id, 9)).to.equal(undefined)
    const undefinedNote = await act({})
    expect(await line(undefinedNote, 8)).to.deep.include({
      outcome: 'undefined',
      missing: ['args.note'],
    })
  })

  it('counts in loops and shows the values with which an expression held', async () => {
    const id = await act({ data: [{ size: 1 }, { size: 9 }, { size: 2 }] })
    expect(await line(id, 15)).to.deep.include({
      text: 'row.size > 5',
      outcome: 'true',
      reached: 3,
      held: 1,
      values: { 'row.size': 9 },
    })
  })

  it('cuts what is too long and says so', async () => {
    const id = await act({ note: `secret ${'x'.repeat(1000)}` })
    const found = await line(id, 8)
    expect(found?.shortened).to.deep.equal(['args.note'])
    expect(String(found?.values['args.note']))
      .to.match(/^"secret x+…$/)
      .and.have.length(200)
  })

  it('explains a held and an allowed action as well', async () => {
    expect(await line(await act({ note: 'hold' }), 19)).to.include({ outcome: 'true' })
    expect(await line(await act({ note: 'fine' }), 5)).to.deep.include({
      rule: 'data.agent.allow',
      outcome: 'true',
      values: { 'input.action.name': 'items.update' },
    })
  })

  it('shows the rules that held first when there are too many', async () => {
    const rules = Array.from(
      { length: 300 },
      (_, n) => `deny contains "rule ${n}" if args.note == "note ${n}"`,
    )
    await reload({ 'agent.rego': `${POLICY}\n${rules.join('\n')}\n` })
    const { expressions, expressions_omitted } = await step(await act({ note: 'note 299' }))
    expect(expressions).to.have.length(200)
    expect(expressions_omitted).to.be.greaterThan(100)
    expect(expressions?.some(({ text }) => text === 'args.note == "note 299"')).to.equal(true)
    await reload({})
  })

  it('explains by the revision that decided, whatever is live by now', async () => {
    const id = await act({ note: 'secret' })
    const before = await step(id)
    await reload({ 'agent.rego': POLICY.replace('"secret"', '"hidden"') })
    expect(await step(id)).to.deep.equal(before)
    await reload({})
    expect(await line(id, 8)).to.include({ outcome: 'true' })
  })

  it('gives an agent neither expressions nor values', async () => {
    const id = await act({ note: 'secret' })
    const { body } = await gate.call('GET', `/actions/${id}/explain`, { key })
    expect(Object.keys(body)).to.not.include('trace')
    expect(JSON.stringify(body)).to.not.include('startswith')
  })

  it('keeps what a module saw to itself', async () => {
    const id = await act({ note: 'secret' })
    const { body } = await gate.call('GET', `/actions/${id}/explain`)
    expect(Object.keys(body)).to.not.include('facts')
  })
})
