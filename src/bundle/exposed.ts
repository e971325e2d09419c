import { compileRegex } from './regex.ts'
import { mcpToolName } from './pins.ts'
import { wholeGlob } from './glob.ts'
import { isObject } from './pointer.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Tool } from '../model/tool.ts'

// What an MCP server has besides tools. Nobody pins a resource or a prompt, of which there may be thousands, and new ones every
// day: a policy says by globs which of them are behind the gate at all. To read one is an action like any other, of a tool that
// stands for the method; its schema takes what the globs take and nothing else, so that no door has a way around them.

export const EXPOSED_METHODS = ['resources/read', 'prompts/get', 'completion/complete'] as const
export type ExposedMethod = (typeof EXPOSED_METHODS)[number]

/** The tool that stands for a method of a server. */
export const exposedName = (server: string, method: ExposedMethod): string =>
  mcpToolName(server, method.replace('/', '.'))

/** The method by which a tool of an MCP server is called. */
export function mcpMethodOf({ declared }: Pick<Tool, 'declared'>): ExposedMethod | 'tools/call' {
  return EXPOSED_METHODS.find((one) => one === declared['method']) ?? 'tools/call'
}

const URI_CHARS_MAX = 2_048
const NAME_CHARS_MAX = 128
/** What servers may take for another path than the one that the globs saw, and what no URI holds. */
const CROOKED = String.raw`/\.{1,2}(?:[/?#;]|$)|%(?:25)*(?:2[eEfF]|5[cC]|00)|[^\x21-\x5b\x5d-\x7e]`
/** No name holds it, and who reads one may stop there. */
const CONTROL = String.raw`\p{Cc}`

export interface Exposed {
  readonly resources: readonly string[]
  readonly prompts: readonly string[]
}

/** Schemas of the args of what is exposed, by method. Globs were looked at before. */
export function exposedSchemas(exposed: Exposed): ReadonlyMap<ExposedMethod, JsonObject> {
  const uri = textOf(exposed.resources, URI_CHARS_MAX, { not: { pattern: CROOKED } })
  const name = textOf(exposed.prompts, NAME_CHARS_MAX, { not: { pattern: CONTROL } })
  const refs = [
    ...(uri ? [closed({ type: { const: 'ref/resource' }, uri }, [])] : []),
    ...(name ? [closed({ type: { const: 'ref/prompt' }, name }, ['title'])] : []),
  ]
  const schemas: [ExposedMethod, JsonObject][] = []
  if (uri) schemas.push(['resources/read', closed({ uri }, [])])
  if (name) schemas.push(['prompts/get', closed({ name }, ['arguments'])])
  if (refs.length > 0) schemas.push(['completion/complete', completion(refs)])
  return new Map(schemas)
}

function completion(refs: readonly JsonObject[]): JsonObject {
  const argument = closed({ name: { type: 'string' }, value: { type: 'string' } }, [])
  return closed({ ref: { anyOf: [...refs] }, argument }, ['context'])
}

const closed = (needed: JsonObject, allowed: readonly (keyof typeof ANYTHING)[]): JsonObject => ({
  type: 'object',
  properties: { ...needed, ...Object.fromEntries(allowed.map((name) => [name, ANYTHING[name]])) },
  required: Object.keys(needed),
  additionalProperties: false,
})

const ANYTHING = {
  arguments: { type: 'object', additionalProperties: { type: 'string' } },
  context: { type: 'object' },
  title: { type: 'string' },
} as const

function textOf(globs: readonly string[], maxLength: number, more: JsonObject) {
  if (globs.length === 0) return undefined
  const anyOf = globs.map((glob) => ({ pattern: wholeGlob(glob) ?? '' }))
  return { type: 'string', maxLength, anyOf, ...more }
}

const tests = new WeakMap<Tool, (text: string) => boolean>()

/** Whether a URI, a template of them, or a name is one that the tool takes. */
export function exposes(tool: Tool, text: string): boolean {
  const known = tests.get(tool) ?? testOf(tool)
  tests.set(tool, known)
  return known(text)
}

function testOf({ argsSchema: { properties } }: Tool): (text: string) => boolean {
  const { uri, name } = isObject(properties) ? properties : {}
  const schema = uri ?? name
  if (!isObject(schema)) return () => false
  const { anyOf, not, maxLength } = schema
  const takes = (Array.isArray(anyOf) ? anyOf : []).map((one) => patternOf(one))
  const isCrooked = isObject(not) ? patternOf(not) : () => false
  return (text) =>
    text.length <= Number(maxLength) && takes.some((one) => one(text)) && !isCrooked(text)
}

function patternOf(schema: Json): (text: string) => boolean {
  const pattern = isObject(schema) ? schema['pattern'] : undefined
  const compiled = typeof pattern === 'string' ? compileRegex(pattern) : undefined
  return (text) => compiled?.ok === true && compiled.regex.test(text)
}
