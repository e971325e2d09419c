import { GatewayError } from '../../errors.ts'
import { canonicalJson } from '../../lib/canonical.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { MODEL_TOOL, MODEL_UPSTREAM } from './call.ts'
import type { Target } from '../../model/request.ts'
import { PLAIN_UPSTREAM, type Tool, UNDECLARED, type Upstream } from '../../model/tool.ts'
import { deepFreeze } from '../../lib/freeze.ts'
import type { LlmPolicy, TokenPrice, ProtocolRules } from '../../bundle/types.ts'

const MESSAGES_MAX = 400
const CONTENT_CHARS_MAX = 500_000
/** What the chat API takes. */
export const OFFERED_TOOLS_MAX = 128
const RESPONSE_BYTES_MAX = 4 << 20
const CONNECTIONS_MAX = 32
const NAME_CHARS_MAX = 64
const MICROS_PER_PRICE = 1_000_000n // prices are for a million tokens

const TEXT: JsonObject = { type: 'string', maxLength: CONTENT_CHARS_MAX }
const closed = (properties: JsonObject, required: readonly string[]): JsonObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

const ARGS: JsonObject = closed(
  {
    messages: {
      type: 'array',
      minItems: 1,
      maxItems: MESSAGES_MAX,
      items: closed(
        {
          role: { type: 'string', enum: ['system', 'user', 'assistant', 'tool'] },
          content: TEXT,
          tool_calls: {
            type: 'array',
            maxItems: 100,
            items: closed({ id: TEXT, name: TEXT, arguments: TEXT }, ['id', 'name', 'arguments']),
          },
          tool_call_id: TEXT,
        },
        ['role', 'content'],
      ),
    },
    tools: { type: 'array', items: { type: 'string' }, maxItems: OFFERED_TOOLS_MAX },
    max_tokens: { type: 'integer', minimum: 1, maximum: 1_000_000 },
    temperature: { type: 'number', minimum: 0, maximum: 2 },
    seed: { type: 'integer' },
  },
  ['messages'],
)

interface ModelArgs {
  readonly messages: readonly {
    readonly role: string
    readonly content: string
    readonly tool_calls?: readonly { id: string; name: string; arguments: string }[]
    readonly tool_call_id?: string
  }[]
  readonly tools?: readonly string[]
  readonly max_tokens?: number
  readonly temperature?: number
  readonly seed?: number
}

/**
 * A call of the model is an action like any other: of this tool, on an upstream whose address the
 * environment gives. So permissions, budgets, risk patterns, kill switch and record apply unchanged.
 */
export const MODEL_TOOL_DECLARATION: Tool = deepFreeze({
  ...UNDECLARED,
  name: MODEL_TOOL,
  description: 'Ask the language model.',
  upstream: MODEL_UPSTREAM,
  method: 'POST',
  path: '/chat/completions',
  effectClass: 'write',
  argsSchema: ARGS,
  location: { file: 'gate.yaml', line: 1, col: 1 },
})

export function modelUpstream({ timeoutMs }: LlmPolicy): Upstream {
  return Object.freeze({
    name: MODEL_UPSTREAM,
    protocol: 'model',
    baseUrl: '',
    timeoutMs,
    responseBytesMax: RESPONSE_BYTES_MAX,
    connectionsMax: CONNECTIONS_MAX,
    credential: null,
    idempotencyHeader: null,
    http: PLAIN_UPSTREAM,
    declared: {},
  })
}

/** The exact request to the model. @throws GatewayError invalid_request */
export function buildModelTarget(bundle: ProtocolRules, args: JsonObject): Target {
  const { max_tokens: asked } = args as unknown as ModelArgs
  if (asked !== undefined && asked > bundle.llm.maxTokens) {
    const message = `\`max_tokens\` is more than the ${bundle.llm.maxTokens} that the policy allows`
    throw new GatewayError('invalid_request', message)
  }
  const body = canonicalJson(requestBody(bundle, args as unknown as ModelArgs))
  return { upstream: MODEL_UPSTREAM, method: 'POST', path: '/chat/completions', query: '', body }
}

function requestBody(bundle: ProtocolRules, args: ModelArgs): JsonObject {
  const { llm } = bundle
  const offered = offeredTools(bundle, args.tools ?? [])
  return {
    model: llm.model,
    messages: args.messages.map(messageJson),
    temperature: args.temperature ?? llm.temperature,
    seed: args.seed ?? llm.seed,
    max_tokens: args.max_tokens ?? llm.maxTokens,
    ...(offered.size > 0 ? { tools: [...offered].map(functionJson) } : {}),
  }
}

function messageJson(message: ModelArgs['messages'][number]): JsonObject {
  const { role, content, tool_calls: calls, tool_call_id: answers } = message
  return {
    role,
    content,
    ...(answers === undefined ? {} : { tool_call_id: answers }),
    ...(calls && calls.length > 0
      ? {
          tool_calls: calls.map((call) => ({
            id: call.id,
            type: 'function',
            function: { name: call.name, arguments: call.arguments },
          })),
        }
      : {}),
  }
}

const functionJson = ([name, tool]: [string, Tool]): Json => ({
  type: 'function',
  function: { name, description: tool.description || tool.name, parameters: tool.argsSchema },
})

/** Tools by the name the model knows them by: its API takes letters, digits, `_` and `-` only. */
export function offeredTools(
  bundle: ProtocolRules,
  names: readonly string[],
): ReadonlyMap<string, Tool> {
  const known = [...new Set(names)].flatMap((name) => bundle.tools.get(name) ?? [])
  return namedTools(known.filter(({ name }) => name !== MODEL_TOOL))
}

/** Tools by a name of letters, digits, `_` and `-`, no two alike. */
export function namedTools(tools: readonly Tool[]): ReadonlyMap<string, Tool> {
  const offered = new Map<string, Tool>()
  for (const tool of tools.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    offered.set(freeName(tool.name, offered), tool)
  }
  return offered
}

function freeName(name: string, taken: ReadonlyMap<string, Tool>): string {
  const plain = name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, NAME_CHARS_MAX)
  if (!taken.has(plain)) return plain
  for (let n = 2; ; n++) {
    const numbered = `${plain.slice(0, NAME_CHARS_MAX - 4)}_${n}`
    if (!taken.has(numbered)) return numbered
  }
}

/**
 * What a call may cost at most: every byte of the request a token (no tokeniser makes more), and as many
 * tokens of answer as were allowed. 0 without a price.
 */
export function worstCaseMicros(bundle: ProtocolRules, args: JsonObject): bigint {
  const { price, maxTokens } = bundle.llm
  if (!price) return 0n
  const given = args as unknown as ModelArgs
  const bytes = Buffer.byteLength(canonicalJson(requestBody(bundle, given)))
  return tokenCost(price, bytes, Math.min(given.max_tokens ?? maxTokens, maxTokens))
}

/** The price of so many tokens, rounded up to a whole micro-unit. */
export function tokenCost(price: TokenPrice, input: number, output: number): bigint {
  const total = BigInt(input) * price.inputMicros + BigInt(output) * price.outputMicros
  return (total + MICROS_PER_PRICE - 1n) / MICROS_PER_PRICE
}
