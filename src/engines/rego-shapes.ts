import { keyOf, type RuleSurvey, type Type, typeText } from '../rego/index.ts'
import { type Diagnostic, diagnosticAt } from '../sources/diagnostics.ts'
import { placeAt } from './rego-place.ts'
import { DECIDING, PACKAGE } from './rego-program.ts'

// The gate reads four rules, and Rego lets each be anything. `deny := "why"` compiles and is no set of
// reasons; the types that the compiler inferred tell so before it is live, and not its first decision. Only
// what is surely wrong is a finding: where a type is not known, the value is checked when it decides.

const CODE = 'wrong_rule_shape'

/** Definitions of the rules that decide whose values the gate could not read as an answer. */
export function shapeFindings(rules: readonly RuleSurvey[]): readonly Diagnostic[] {
  const own = rules.filter((one) => one.package.length === 1 && one.package[0] === PACKAGE)
  return DECIDING.flatMap((name) => {
    const definitions = own.filter(({ path }) => path[1] === name)
    return [
      ...definitions.flatMap((rule) => problemOf(name, rule)),
      ...conflictOf(name, definitions),
    ]
  })
}

function problemOf(name: string, rule: RuleSurvey): Diagnostic[] {
  const what = formProblem(name, rule) ?? typeProblem(name, rule.type)
  return what === undefined ? [] : [finding(rule, `\`${name}\` ${what}`, HINTS[name])]
}

const HINTS: Readonly<Record<string, string>> = {
  allow: 'write `allow if { ... }`',
  deny: 'write `deny contains "why" if { ... }`',
  require_approval: 'write `require_approval contains "why" if { ... }`',
  obligations:
    'write `obligations contains {"id": "...", "type": "...", "properties": {}} if { ... }`',
}

function formProblem(name: string, { isFunction, makes, path }: RuleSurvey): string | undefined {
  if (isFunction) return 'is a function, which nobody calls'
  if (path.length > 2 || makes === 'object') return 'is an object of rules'
  if (name === 'allow' && makes === 'set') return 'is a set, which is never `true`'
  return undefined
}

function typeProblem(name: string, type: Type | undefined): string | undefined {
  const wrong = membersOf(type).find((one) => !fits(name, one))
  if (!wrong) return undefined
  const have = typeText(wrong).slice(0, TYPE_LENGTH_MAX)
  if (name === 'allow') return `is ${have} and never \`true\``
  if (wrong.kind === 'set' || wrong.kind === 'array') return `${WANTED[name]}, not ${have}`
  return `is ${have}, but must be a set`
}

const TYPE_LENGTH_MAX = 120
const REASONS = 'must hold text or objects with `code` and `message`'
const WANTED: Readonly<Record<string, string>> = {
  deny: REASONS,
  require_approval: REASONS,
  obligations: 'must hold objects with `id`, `type` and `properties`',
}

/** The alternatives of a type; one that may be anything has none that is wrong. */
function membersOf(type: Type | undefined): readonly Type[] {
  if (!type) return []
  return type.kind === 'any' ? type.of.flatMap(membersOf) : [type]
}

function fits(name: string, type: Type): boolean {
  if (name === 'allow') return type.kind === 'boolean'
  if (type.kind === 'boolean') return name !== 'obligations'
  const fitting = name === 'obligations' ? isObligation : isReason
  if (type.kind === 'set') return membersOf(type.of).every(fitting)
  if (type.kind !== 'array') return false
  return [...type.fixed, type.rest].flatMap(membersOf).every(fitting)
}

function isReason(type: Type): boolean {
  if (type.kind === 'string') return true
  if (type.kind !== 'object') return false
  const known = [member(type, 'code'), member(type, 'message')].filter((one) => one !== undefined)
  return known.every(mayBeText) && (known.length > 0 || type.rest !== undefined)
}

function isObligation(type: Type): boolean {
  if (type.kind !== 'object') return false
  const [kind, id, properties] = ['type', 'id', 'properties'].map((key) => member(type, key))
  if (!kind && !type.rest) return false
  const texts = [kind, id].filter((one) => one !== undefined)
  return texts.every(mayBeText) && (!properties || mayBe(properties, 'object'))
}

const member = (type: Type, key: string): Type | undefined =>
  type.kind === 'object' ? type.fixed.get(keyOf(key)) : undefined

const mayBe = (type: Type, kind: Type['kind']): boolean =>
  type.kind === 'any'
    ? type.of.length === 0 || type.of.some((one) => mayBe(one, kind))
    : type.kind === kind

const mayBeText = (type: Type): boolean => mayBe(type, 'string')

// Where two definitions hold at once and differ, there is no answer at all, and each such call is denied with an error.
function conflictOf(name: string, definitions: readonly RuleSurvey[]): Diagnostic[] {
  const complete = definitions.filter(
    (one) => one.makes === 'value' && !one.isDefault && !one.isFunction && one.path.length === 2,
  )
  const values = new Set(complete.flatMap(({ constants }) => constants))
  const [first, second] = complete
  if (!first || !second || (values.size === 1 && !values.has(undefined))) return []
  const other =
    complete.find((one) => one.constants.some((value) => !isSame(first, value))) ?? second
  const place = first === other ? second : other
  const where = `${first.file}:${first.location.row}`
  const message = `\`${name}\` may have another value here than at ${where}, and then it has none`
  return [finding(place, message, CONFLICT_HINTS[name] ?? HINTS[name])]
}

const isSame = ({ constants }: RuleSurvey, value: string | undefined): boolean =>
  value !== undefined && constants.length === 1 && constants[0] === value

const CONFLICT_HINTS: Readonly<Record<string, string>> = {
  allow: 'define `allow` only where it is `true`: what nothing allows is denied',
}

const finding = (rule: RuleSurvey, message: string, hint: string | undefined): Diagnostic =>
  diagnosticAt(placeAt(rule.location), 'error', CODE, message, hint)
