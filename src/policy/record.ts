import type { Json } from '../model/json.ts'
import { EACH, type RecordRules } from '../model/record-rules.ts'
import type { Tool } from '../model/tool.ts'
import type { Findings } from '../sources/diagnostics.ts'
import { isObject, parsePointer } from '../bundle/pointer.ts'
import { didYouMean } from '../lib/suggest.ts'
import type { SourceDocument } from '../sources/yaml.ts'

// What the record may hold. A mask that is misspelt leaves in clear what its author wanted hidden, and nothing would
// ever say so; where the args schemas and the look-ups tell that no value can be there, the policy does not load.

export interface RawRecord {
  readonly mask?: readonly string[]
}

/** Where masked values are, by what they are in. */
type Masks = Record<keyof RecordRules, (readonly string[])[]>

const ROOTS = ['args', 'context', 'facts', 'result', 'metadata'] as const
const NOTHING: RecordRules = Object.freeze({
  args: Object.freeze([]),
  context: Object.freeze([]),
  facts: Object.freeze([]),
  result: Object.freeze([]),
  metadata: Object.freeze([]),
})

/** Reads the masks of `gate.yaml`; every finding names its pointer. */
export function readRecord(
  raw: RawRecord,
  tools: Iterable<Tool>,
  source: SourceDocument,
  found: Findings,
): RecordRules {
  if (!raw.mask || raw.mask.length === 0) return NOTHING
  const masks: Masks = { args: [], context: [], facts: [], result: [], metadata: [] }
  const all = [...tools]
  for (const [index, text] of raw.mask.entries()) {
    const refused = place(masks, text, all)
    if (!refused) continue
    found.error(source.at(['record', 'mask', index]), refused.code, refused.message, refused.hint)
  }
  for (const steps of Object.values(masks)) Object.freeze(steps)
  return Object.freeze(masks)
}

interface Refused {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
}

function place(masks: Masks, text: string, tools: readonly Tool[]): Refused | undefined {
  const [root = '', ...steps] = parsePointer(text) ?? []
  if (!isRoot(root) || steps.length === 0 || (root === 'result' && steps[0] !== 'body')) {
    return {
      code: 'bad_pointer',
      message: `\`${text}\` does not lead into anything on record`,
      hint: HINT,
    }
  }
  const refused = root === 'args' ? noArg(text, steps, tools) : noFact(root, text, steps, tools)
  if (!refused) masks[root].push(Object.freeze(root === 'result' ? steps.slice(1) : steps))
  return refused
}

const HINT =
  'a pointer such as `/args/card/number`, or one into `/context`, `/facts/<look-up>`, `/result/body` or `/metadata`'

const isRoot = (name: string): name is (typeof ROOTS)[number] =>
  (ROOTS as readonly string[]).includes(name)

function noArg(
  text: string,
  steps: readonly string[],
  tools: readonly Tool[],
): Refused | undefined {
  if (tools.some(({ argsSchema }) => mayHold(argsSchema, steps))) return undefined
  const known = tools.flatMap(({ argsSchema }) => pointersOf(argsSchema, '/args'))
  return {
    code: 'mask_matches_nothing',
    message: `no tool has args with \`${text}\``,
    hint: didYouMean(text, [...new Set(known)]),
  }
}

function noFact(
  root: string,
  text: string,
  [name = '']: readonly string[],
  tools: readonly Tool[],
): Refused | undefined {
  const names = tools.flatMap(({ facts }) => facts.map((fact) => fact.name))
  if (root !== 'facts' || name === EACH || names.includes(name)) return undefined
  return {
    code: 'mask_matches_nothing',
    message: `no tool has the look-up of \`${text}\``,
    hint: didYouMean(name, [...new Set(names)]),
  }
}

/** Whether a schema leaves room for a value there; where it is too clever for this reading, it does. */
function mayHold(schema: Json | undefined, [step, ...rest]: readonly string[]): boolean {
  if (step === undefined || !isObject(schema)) return schema !== false
  if (CLEVER.some((word) => Object.hasOwn(schema, word))) return true
  const { properties, items, additionalProperties: others } = schema
  const members = isObject(properties) ? properties : {}
  const open = others !== false && mayBe(schema, 'object') && mayHold(others, rest)
  if (step !== EACH && Object.hasOwn(members, step)) return mayHold(members[step], rest)
  const isElement = step === EACH || /^(?:0|[1-9]\d*)$/.test(step)
  const inArray = isElement && mayBe(schema, 'array') && mayHold(items, rest)
  const inMembers = step === EACH && Object.values(members).some((one) => mayHold(one, rest))
  return open || inArray || inMembers
}

const CLEVER = ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'patternProperties', 'prefixItems']

function mayBe(schema: { readonly [key: string]: Json }, type: string): boolean {
  const types = [schema['type'] ?? []].flat()
  return types.length === 0 || types.includes(type)
}

/** Pointers to all that a schema names. */
function pointersOf(schema: Json | undefined, at: string): readonly string[] {
  if (!isObject(schema)) return []
  const { properties, items } = schema
  const members = isObject(properties) ? Object.entries(properties) : []
  const below = members.flatMap(([name, one]) => {
    const pointer = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    return [pointer, ...pointersOf(one, pointer)]
  })
  return [...below, ...(items === undefined ? [] : pointersOf(items, `${at}/${EACH}`))]
}
