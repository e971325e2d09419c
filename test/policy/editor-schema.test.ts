import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { KINDS } from '../../src/decide/index.ts'
import { composeGateSchema } from '../../ops/compose-schema.mjs'
import { gateWith } from './sample.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')
const schemaOf = (name: string): object => JSON.parse(read(`schemas/${name}.schema.json`)) as object

// As an editor does: each schema by itself, with nothing beside it.
const validatorOf = (name: string) =>
  new Ajv2020({ strict: false, allErrors: true }).compile(schemaOf(name))

const SHIPPED: readonly [file: string, schema: string][] = [
  ['policies/gate.yaml', 'gate'],
  ['policies/tools.yaml', 'tools'],
  ['policies/valid.yaml', 'plan-policy'],
  ['examples/policy-tests/gate.yaml', 'gate'],
  ['examples/policy-tests/tools.yaml', 'tools'],
  ['examples/policy-tests/tests/tickets.yaml', 'tests'],
]

describe('The schemas for editors', () => {
  for (const [file, name] of SHIPPED) {
    it(`take ${file} for what it is`, () => {
      const validate = validatorOf(name)
      validate(parse(read(file)))
      expect(validate.errors ?? []).to.deep.equal([])
    })
  }

  it('are what the outline and the guards make together', () => {
    expect(schemaOf('gate')).to.deep.equal(composeGateSchema())
  })

  it('know every kind of guard, with its keys', () => {
    const validate = validatorOf('gate')
    const guard = (text: string) => validate(parse(gateWith(`{ id: g, ${text} }`)))
    const { $defs } = schemaOf('gate') as { $defs: Record<string, { properties: object }> }
    for (const { kind } of KINDS.kinds) {
      expect($defs[kind]?.properties, kind).to.include.keys(
        'id',
        'mode',
        'tools',
        'roles',
        'message',
      )
      expect(guard(`kind: ${kind}, no_such_key: 1`), kind).to.equal(false)
    }
    expect(guard('kind: bulk_limit, max_items: 3')).to.equal(true)
    expect(guard('kind: bulk_limit, max_items: three')).to.equal(false)
    expect(guard('kind: bulk_limt, max_items: 3')).to.equal(false)
  })

  it('know the rows of the sections', () => {
    const validate = validatorOf('gate')
    const gate = (text: string) => validate(parse(`version: 1\nenvironment: x\n${text}\n`))
    expect(gate("budgets: [{ limit: '5.00', period: day }]")).to.equal(true)
    expect(gate('budgets: [{ limit: 5.00 }]')).to.equal(false)
    expect(gate('permissions: [{ roles: [a], tools: [b], effect: alow }]')).to.equal(false)
    expect(gate('rate_limits: [{ limit: 5, per_s: 1, scpe: agent }]')).to.equal(false)
  })
})
