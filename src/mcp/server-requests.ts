import type { Json, JsonObject } from '../model/json.ts'
import type { ServerRequest } from '../model/tool.ts'
import { isObject } from './wire.ts'

// What a server asks of its client, in the protocol with sessions. Three kinds of it there are, each a capability that a
// client declares. Of what a kind has been extended by since (tools and context for a model, a page to be opened, tasks) nothing is declared
// to servers, so that it is refused whatever a client could make of it.

const KINDS: Readonly<Record<string, ServerRequest>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
}

/** What a server is answered: a result, or why there is none. */
export type ServerAnswer = { readonly result: JsonObject } | { readonly error: JsonObject }

/** Which kind of request a server makes; undefined for what nobody has to answer. */
export function kindOf({ method, params = {} }: JsonObject): ServerRequest | undefined {
  const kind =
    typeof method === 'string' && Object.hasOwn(KINDS, method) ? KINDS[method] : undefined
  if (!isObject(params)) return undefined
  const { mode = 'form', tools, toolChoice, task, includeContext = 'none' } = params
  if (task !== undefined || includeContext !== 'none') return undefined
  if (kind === 'elicitation' && mode !== 'form') return undefined
  if (kind === 'sampling' && (tools !== undefined || toolChoice !== undefined)) return undefined
  return kind
}

/** The kinds that a client declares in `initialize`. */
export function kindsIn(capabilities: Json | undefined): readonly ServerRequest[] {
  if (!isObject(capabilities)) return []
  return Object.values(KINDS).filter((kind) => {
    const declared = capabilities[kind]
    if (!isObject(declared)) return false
    // Who says nothing more of it means forms; who names pages alone does not.
    const isBare = Object.keys(declared).length === 0
    return kind !== 'elicitation' || isBare || isObject(declared['form'])
  })
}

/** What the gate declares to a server that may ask for these. */
export const capabilitiesFor = (kinds: readonly ServerRequest[] = []): JsonObject =>
  Object.fromEntries(kinds.map((kind) => [kind, {}]))

const MESSAGE_CHARS_MAX = 2_000

/** A client's answer as a server gets it; undefined for one that is none. Nothing of its `_meta` is handed on. */
export function serverAnswer({ result, error }: JsonObject): ServerAnswer | undefined {
  if (isObject(result) && error === undefined) {
    const { _meta, ...rest } = result
    return { result: rest }
  }
  if (!isObject(error) || result !== undefined) return undefined
  const { code, message } = error
  if (!Number.isSafeInteger(code) || typeof message !== 'string') return undefined
  return {
    error: { code: code as number, message: message.slice(0, MESSAGE_CHARS_MAX).toWellFormed() },
  }
}
