import { isObject, parsePointer } from '../bundle/pointer.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { erased } from './erase.ts'

// OPA asks `data.system.log.mask` about each event before it leaves: a text or `{op: "remove", path}` erases, `{op: "upsert",
// path, value}` puts something else there. What cannot be read as a mask, or fails, costs the event its input and its result: it
// must not carry what somebody meant to hide.

/** Answers `data.system.log.mask` of an event as JSON text; undefined where no policy says any. @throws where it fails */
export type LogMask = (eventText: string) => string | undefined

const EVERYTHING = [['input'], ['result']]

export function masked(event: JsonObject, mask: LogMask | undefined): JsonObject {
  if (!mask) return event
  try {
    const text = mask(JSON.stringify(event))
    const rules = text === undefined ? [] : (JSON.parse(text) as Json)
    if (!Array.isArray(rules)) throw new Error('the mask is no set')
    return rules.reduce<JsonObject>(withRule, event)
  } catch {
    return erased(event, EVERYTHING)
  }
}

function withRule(event: JsonObject, rule: Json): JsonObject {
  const { op, path, value } = isObject(rule) ? rule : { op: 'remove', path: rule, value: null }
  const steps = typeof path === 'string' ? parsePointer(path) : undefined
  if (!steps || !(steps[0] === 'input' || steps[0] === 'result')) {
    throw new Error('a mask is for what is below /input or /result')
  }
  if (op === 'remove') return erased(event, [steps])
  if (op !== 'upsert') throw new Error('a mask removes or upserts')
  const put = upserted(event, steps, value ?? null) as JsonObject
  return { ...put, masked: [...((event['masked'] ?? []) as string[]), path as string] }
}

// What is no object on the way becomes one, so that the value is there whatever stood before.
function upserted(at: Json | undefined, [step, ...rest]: readonly string[], value: Json): Json {
  if (step === undefined) return value
  if (Array.isArray(at) && /^(?:0|[1-9]\d*)$/.test(step) && Number(step) < at.length) {
    return at.map((one: Json, n) => (String(n) === step ? upserted(one, rest, value) : one))
  }
  const object = isObject(at) ? at : {}
  const inner = Object.hasOwn(object, step) ? object[step] : undefined
  return { ...object, [step]: upserted(inner, rest, value) }
}
