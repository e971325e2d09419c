import type { Signal } from '@preact/signals'
import type { Json, JsonObject } from '../../client/api.ts'
import { Field } from '../parts/dialog.tsx'
import { Said } from '../parts/text.tsx'

// A form from the JSON Schema of a tool's args: a field for each property that is a plain value, text that is JSON for
// any other. The schema helps to write; what is sent is what stands there, since a policy is to be tried with what is
// wrong as well.

export interface ArgField {
  readonly name: string
  readonly kind: 'text' | 'number' | 'boolean' | 'choice' | 'json'
  readonly choices: readonly string[]
  readonly isRequired: boolean
  readonly description: string
}

/** What stands in each field, as it is typed. */
export type Typed = Readonly<Record<string, string>>

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The fields of a schema; null where it has none to make a form of. */
export function fieldsOf(schema: unknown): readonly ArgField[] | null {
  if (!isObject(schema) || !isObject(schema['properties'])) return null
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  return Object.entries(schema['properties']).map(([name, said]) => {
    const property = isObject(said) ? said : {}
    const { type, description } = property
    const choices = choicesOf(property)
    const kind =
      choices.length > 0 ? 'choice' : (KINDS[typeof type === 'string' ? type : ''] ?? 'json')
    return {
      ...{ name, kind, choices, isRequired: required.includes(name) },
      description: typeof description === 'string' ? description : '',
    }
  })
}

const KINDS: Readonly<Record<string, ArgField['kind']>> = {
  string: 'text',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
}

const choicesOf = (property: JsonObject): readonly string[] => {
  const { enum: all } = property
  return Array.isArray(all) && all.every((one) => typeof one === 'string') ? all : []
}

/** The args that the fields make; an empty field is no arg. @throws Error for what is no number, or no JSON */
export function argsOf(fields: readonly ArgField[], typed: Typed): JsonObject {
  const given = fields.flatMap(({ name, kind }) => {
    const text = typed[name] ?? ''
    return text === '' ? [] : [[name, valueOf(name, kind, text)] as const]
  })
  return Object.fromEntries(given)
}

function valueOf(name: string, kind: ArgField['kind'], text: string): Json {
  if (kind === 'text' || kind === 'choice') return text
  if (kind === 'boolean') return text === 'true'
  if (kind === 'json') return jsonOf(name, text)
  const number = Number(text)
  if (Number.isFinite(number)) return number
  throw new Error(`${name} is no number`)
}

/** @throws Error that names the field */
export function jsonOf(name: string, text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    throw new Error(`${name} is no JSON`)
  }
}

/** The fields, or one for all of it as JSON where there is no schema or somebody wants it so. */
export function ArgsForm({
  fields,
  typed,
  json,
}: {
  fields: readonly ArgField[] | null
  typed: Signal<Typed>
  json: Signal<string | null>
}) {
  if (fields === null || json.value !== null) {
    return <JsonArea label="Args, as JSON" of={json} empty="{}" />
  }
  const set = (name: string, text: string) => {
    typed.value = { ...typed.value, [name]: text }
  }
  return (
    <>
      {fields.map((one) => (
        <Field
          key={one.name}
          label={`${one.name}${one.isRequired ? ' (required)' : ''}${one.kind === 'json' ? ', as JSON' : ''}`}
        >
          <ArgInput
            of={one}
            text={typed.value[one.name] ?? ''}
            onText={(text) => set(one.name, text)}
          />
          {one.description === '' ? null : (
            <span class="muted">
              <Said text={one.description} />
            </span>
          )}
        </Field>
      ))}
      <button type="button" onClick={() => (json.value = '{}')}>
        Write JSON instead
      </button>
    </>
  )
}

function ArgInput({
  of,
  text,
  onText,
}: {
  of: ArgField
  text: string
  onText: (text: string) => void
}) {
  const choices = of.kind === 'boolean' ? ['true', 'false'] : of.choices
  if (choices.length === 0) {
    return <input value={text} onInput={(event) => onText(event.currentTarget.value)} />
  }
  return (
    <select value={text} onChange={(event) => onText(event.currentTarget.value)}>
      <option value="">not given</option>
      {choices.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  )
}

/** Text that is JSON. */
export function JsonArea({
  label,
  of,
  empty = '',
}: {
  label: string
  of: Signal<string | null>
  empty?: string
}) {
  return (
    <Field label={label}>
      <textarea
        rows={4}
        spellcheck={false}
        value={of.value ?? empty}
        onInput={(event) => {
          of.value = event.currentTarget.value
        }}
      />
    </Field>
  )
}
