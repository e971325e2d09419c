import type { Json, JsonObject } from '../model/json.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import { invalid, paramsIn, readSimple, simpleText } from './params.ts'
import { own } from './query.ts'

const VISIBLE = /^[!-~](?:[ -~]*[!-~])?$/
const VALUE_LENGTH_MAX = 4096

/** What nobody but the gate says to an upstream: whom it is for, how it is framed, who asks, over which way. */
const GATES_OWN =
  /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-.*|cookie2?|authorization|forwarded|x-forwarded-.*|x-real-ip|via|x-request-id|x-api-key|x-http-method(?:-override)?|x-method-override|x-original-url|x-rewrite-url|idempotency-key|portcullis-.*|accept-encoding|date|origin|referer|user-agent)$/

/** What `pass_headers` may name besides: it says who asks, and nothing depends on that. */
const HARMLESS: ReadonlySet<string> = new Set(['user-agent', 'idempotency-key', 'date'])

/** Whether a header is the gate's own affair, so that no arg can travel in it. */
export const isOwnHeader = (name: string): boolean => GATES_OWN.test(name.toLowerCase())

/** Whether a header may not be passed on from a client. */
export const isUnpassable = (name: string): boolean =>
  isOwnHeader(name) && !HARMLESS.has(name.toLowerCase())

/** Headers as a client sent them: the values of each lower-case name, in order. */
export type SentHeaders = ReadonlyMap<string, readonly string[]>

/** Those whose value is a list, of which two lines say the same as one. */
const LISTS: ReadonlySet<string> = new Set([
  'accept',
  'accept-language',
  'prefer',
  'if-match',
  'if-none-match',
])

/** The headers of a tool's call that its args say. @throws GatewayError invalid_request */
export function headersOf(tool: Tool, args: JsonObject): Readonly<Record<string, string>> {
  const said = paramsIn(tool, 'header').flatMap((param): [string, string][] => {
    const value = own(args, param.arg)
    if (value === undefined || value === null) return []
    const text = simpleText(param, value)
    if (!VISIBLE.test(text) || text.length > VALUE_LENGTH_MAX) {
      throw invalid(`header parameter \`${param.name}\` holds what a header cannot`)
    }
    return [[param.name.toLowerCase(), text]]
  })
  return Object.fromEntries(said)
}

/** The args that headers say. @throws GatewayError invalid_request */
export function readHeaders(tool: Tool, sent: SentHeaders): ReadonlyMap<string, Json> {
  const args = new Map<string, Json>()
  for (const param of paramsIn(tool, 'header')) {
    const [text, ...more] = sent.get(param.name.toLowerCase()) ?? []
    if (text === undefined) continue
    if (more.length > 0) throw invalid(`header parameter \`${param.name}\` is given twice`)
    args.set(param.arg, readSimple(tool, param, text.trim()))
  }
  return args
}

/**
 * What of a client's headers goes along with the call. What says nothing is left out, so that it does not matter which
 * client a request comes from. @throws GatewayError invalid_request
 */
export function passedHeaders(
  tool: Tool,
  upstream: Upstream,
  sent: SentHeaders,
): Readonly<Record<string, string>> {
  const declared = new Set(paramsIn(tool, 'header').map(({ name }) => name.toLowerCase()))
  const passed = upstream.http.passHeaders.flatMap((name): [string, string][] => {
    const values = sent.get(name)
    if (!values || declared.has(name) || Object.hasOwn(upstream.http.headers, name)) return []
    if (values.length > 1 && !LISTS.has(name)) throw invalid(`duplicate header \`${name}\``)
    const text = meaning(name, values.join(', ').trim())
    if (text === '') return []
    if (!VISIBLE.test(text) || text.length > VALUE_LENGTH_MAX) {
      throw invalid(`header \`${name}\` holds what cannot be passed on`)
    }
    return [[name, text]]
  })
  return Object.fromEntries(passed)
}

// `wait` is a word to the gate, and anything at all is what an upstream takes to be accepted anyway.
function meaning(name: string, text: string): string {
  if (name === 'accept') return text === '*/*' ? '' : text
  if (name === 'accept-language') return text === '*' ? '' : text
  if (name !== 'prefer') return text
  const words = text.split(',').map((word) => word.trim())
  return words.filter((word) => word !== '' && !/^wait\s*=/i.test(word)).join(', ')
}
