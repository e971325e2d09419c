// Composes schemas/gate.schema.json, the one that editors complete and check gate.yaml with, of its outline and the
// schemas of the guards: run it after a change to one of them. The gate itself checks the outline first and then each
// guard by its own schema, so that its findings are about one guard; an editor wants to know everything at once.
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const DIR = path.resolve(import.meta.dirname, '..', 'schemas')
const OUT = path.join(DIR, 'gate.schema.json')
const SECTIONS = { permissions: 'permissions', budgets: 'budget', rate_limits: 'rate_limit' }

const read = (name) => JSON.parse(fs.readFileSync(path.join(DIR, name), 'utf8'))

/** The whole schema, self-contained. */
export function composeGateSchema() {
  const outline = read('gate-outline.schema.json')
  const common = read('guards/common.schema.json')
  const kinds = fs
    .readdirSync(path.join(DIR, 'guards'))
    .map((file) => file.replace('.schema.json', ''))
    .filter((kind) => kind !== 'common')
    .sort()
  const $defs = Object.fromEntries(kinds.map((kind) => [kind, guard(kind, common)]))
  const properties = { ...outline.properties }
  for (const [section, kind] of Object.entries(SECTIONS)) {
    properties[section] = { ...properties[section], items: { $ref: `#/$defs/${kind}` } }
  }
  properties.guards = { ...properties.guards, items: anyGuard(kinds, common) }
  return { ...outline, properties, $defs }
}

// Flat, because not every editor knows what `unevaluatedProperties` means.
function guard(kind, common) {
  const {
    $schema: _,
    $ref,
    unevaluatedProperties,
    required,
    ...schema
  } = read(`guards/${kind}.schema.json`)
  if ($ref !== 'common.schema.json' || unevaluatedProperties !== false) {
    throw new Error(`the schema of ${kind} is not made as the others are`)
  }
  const properties = { ...common.properties, ...schema.properties, kind: { const: kind } }
  const needed = required.filter((key) => key !== 'kind')
  return {
    ...schema,
    properties,
    ...(needed.length > 0 ? { required: needed } : {}),
    additionalProperties: false,
  }
}

const anyGuard = (kinds, common) => ({
  type: 'object',
  required: ['id', 'kind'],
  properties: { id: common.properties.id, kind: { enum: kinds } },
  allOf: kinds.map((kind) => ({
    if: { properties: { kind: { const: kind } }, required: ['kind'] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
    then: { $ref: `#/$defs/${kind}` },
  })),
})

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  fs.writeFileSync(OUT, `${JSON.stringify(composeGateSchema(), null, 2)}\n`)
}
