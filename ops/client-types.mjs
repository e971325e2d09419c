// The types of `portcullis/client`, written from the OpenAPI document: what a call takes and what it answers, by
// `METHOD /path`. Shapes that several calls share get the name below; whatever the document leaves open is `Json`.

/** Shapes with a name of their own: where in the document each is found. */
const NAMES = {
  Reason: (at) => at('POST /act', 202).properties.reasons.items,
  Result: (at) => at('GET /actions/{id}', 200).properties.result,
  AskedFor: (at) => at('GET /actions/{id}', 200).properties.request,
  Performed: (at) => at('POST /act', 200).oneOf[0],
  DryRun: (at) => at('POST /act', 200).oneOf[1],
  Held: (at) => at('POST /act', 202),
  Action: (at) => at('GET /actions/{id}', 200),
  Vote: (at) => at('GET /approvals', 200).properties.approvals.items.properties.votes.items,
  Target: (at) => at('GET /approvals', 200).properties.approvals.items.properties.target.anyOf[0],
  Approval: (at) => at('GET /approvals', 200).properties.approvals.items,
  Agent: (at) => at('GET /api/v1/agents', 200).properties.agents.items,
  Month: (at) => at('GET /api/v1/agents/{id}', 200).properties.budget,
  Report: (at) => at('GET /api/v1/actions', 200).properties.actions.items,
  KillScope: (at) => at('GET /kill-switch', 200).properties.switches.items.properties.scope,
  Diagnostic: (at) => at('GET /policy', 200).properties.warnings.items,
  PolicyTool: (at) => at('GET /policy', 200).properties.tools.items,
  PolicyGuard: (at) => at('GET /policy', 200).properties.guards.items,
  AuditEntry: (at) => at('GET /audit/timeline', 200).properties.entries.items,
  Checkpoint: (at) => at('GET /audit/checkpoint', 200).properties.checkpoint.anyOf[0],
  GateFailure: (at) => at('POST /act', 400).properties.error,
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const JSON_TYPE = 'application/json'
/** The proxy's calls are the upstream's own, pages are for browsers, and `/action` is `/act`. */
const LEFT_OUT = /^\/(?:proxy\/|docs$|openapi\.json$|action$)/

const HEAD = `// Written by \`npm run export:openapi\` from the OpenAPI document; not to be changed by hand.

/** Any JSON: what the document leaves open, as the answer of an upstream. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }
export interface JsonObject {
  readonly [name: string]: Json
}
`

/** The text of src/client/api.ts. */
export function clientTypes(document) {
  const calls = operations(document)
  const resolve = (schema) =>
    schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema
  const at = (call, status) =>
    resolve(
      calls.find(({ name }) => name === call).operation.responses[status].content[JSON_TYPE].schema,
    )
  const named = new Map()
  const own = []
  for (const [name, find] of Object.entries(NAMES)) {
    const schema = find(at)
    if (schema === undefined) throw new Error(`the document has no ${name}`)
    own.push([name, schema])
    named.set(JSON.stringify(schema), name)
  }
  const types = own.map(([name, schema]) => declared(name, schema, named))
  const members = calls.map((call) => member(call, named))
  return `${[HEAD, ...types].join('\n')}
/** Every call of the API, by method and path: what it takes, and what it answers when it does not fail. */
export interface Calls {
${members.join('\n')}
}
`
}

function operations(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter(
      (method) => item[method] && !item[method].deprecated && !LEFT_OUT.test(path),
    ).map((method) => ({ name: `${method.toUpperCase()} ${path}`, operation: item[method] })),
  )
}

function declared(name, schema, named) {
  const others = new Map([...named].filter(([, other]) => other !== name))
  const text = typeOf(schema, others, '')
  return text.startsWith('{')
    ? `export interface ${name} ${text}\n`
    : `export type ${name} = ${text}\n`
}

function member({ name, operation }, named) {
  const { parameters = [], requestBody, responses } = operation
  const inside = (place) => parameters.filter((one) => one.in === place)
  const params = (place) => {
    const found = inside(place)
    if (found.length === 0) return 'object'
    const properties = Object.fromEntries(found.map((one) => [one.name, one.schema]))
    const required = found.filter((one) => one.required).map((one) => one.name)
    return typeOf({ type: 'object', properties, required }, named, '    ')
  }
  const body = requestBody?.content[JSON_TYPE]?.schema
  const text = requestBody && Object.keys(requestBody.content).length > (body ? 1 : 0)
  const bodyType = [...(body ? [typeOf(body, named, '    ')] : []), ...(text ? ['string'] : [])]
  const answers = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(([, { content }]) => answerOf(content, named))
  const isOptional = requestBody && !requestBody.required ? ' | undefined' : ''
  return [
    `  /** ${operation.summary}. */`,
    `  '${name}': {`,
    `    path: ${params('path')}`,
    `    query: ${params('query')}`,
    `    body: ${bodyType.join(' | ') || 'undefined'}${isOptional}`,
    `    answer: ${[...new Set(answers)].join(' | ') || 'never'}`,
    '  }',
  ].join('\n')
}

function answerOf(content, named) {
  if (content === undefined) return 'undefined'
  const schema = content[JSON_TYPE]?.schema
  return schema ? typeOf(schema, named, '    ') : 'string'
}

/** A JSON Schema as a type. Objects are closed as far as a type can say so. */
function typeOf(schema, named, indent) {
  const name = named.get(JSON.stringify(schema))
  if (name) return name
  if (schema.$ref) return schema.$ref.split('/').at(-1)
  if ('const' in schema) return literal(schema.const)
  if (schema.enum) return schema.enum.map(literal).join(' | ')
  const variants = schema.oneOf ?? schema.anyOf
  if (variants) return [...new Set(variants.map((one) => typeOf(one, named, indent)))].join(' | ')
  if (Array.isArray(schema.type)) {
    return schema.type.map((type) => typeOf({ ...schema, type }, named, indent)).join(' | ')
  }
  if (schema.type === 'object') return objectOf(schema, named, indent)
  if (schema.type === 'array')
    return `readonly ${grouped(typeOf(schema.items ?? {}, named, indent))}[]`
  return SCALARS[schema.type] ?? 'Json'
}

const SCALARS = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  null: 'null',
}

function objectOf(schema, named, indent) {
  const properties = Object.entries(schema.properties ?? {})
  const more = schema.additionalProperties
  const isMap = typeof more === 'object' && Object.keys(more).length > 0
  if (properties.length === 0) {
    if (isMap) return `Readonly<Record<string, ${typeOf(more, named, indent)}>>`
    return more === false ? 'Readonly<Record<string, never>>' : 'JsonObject'
  }
  const inner = `${indent}  `
  const lines = properties.map(([name, one]) => {
    const isOptional = !(schema.required ?? []).includes(name)
    const type = typeOf(one, named, inner)
    const about = one.description ? `${inner}/** ${one.description} */\n` : ''
    const gone = one.deprecated ? `${inner}/** @deprecated ${one.description ?? ''} */\n` : about
    return `${gone}${inner}readonly ${key(name)}${isOptional ? '?' : ''}: ${type}`
  })
  const open = more === true ? [`${inner}readonly [name: string]: Json | undefined`] : []
  return ['{', ...lines, ...open, `${indent}}`].join('\n')
}

const key = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`)
const literal = (value) => (typeof value === 'string' ? `'${value}'` : String(value))
const grouped = (type) => (type.includes(' | ') && !type.startsWith('{') ? `(${type})` : type)
