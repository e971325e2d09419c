import type { Json, JsonObject } from '../model/json.ts'

// What an event must not carry to the sink is erased before it is packed, and the event says where something was.

/** `*` is each member or element. */
const EACH = '*'

/** An event without what is at these pointers; `erased` names those that led to something. */
export function erased(event: JsonObject, pointers: readonly (readonly string[])[]): JsonObject {
  const found = [...((event['erased'] ?? []) as string[])]
  const before = found.length
  let left: Json = event
  for (const steps of pointers) {
    const next: Json = without(left, steps)
    if (next !== left) found.push(pointerOf(steps))
    left = next
  }
  return found.length === before ? event : { ...(left as JsonObject), erased: found }
}

const pointerOf = (steps: readonly string[]): string =>
  steps.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

/** The same value where there is nothing at the pointer. */
function without(value: Json, [step, ...rest]: readonly string[]): Json {
  if (step === undefined || value === null || typeof value !== 'object') return value
  return Array.isArray(value)
    ? withoutElements(value, step, rest)
    : withoutMembers(value as JsonObject, step, rest)
}

function withoutMembers(object: JsonObject, step: string, rest: readonly string[]): JsonObject {
  let isSame = true
  const members = Object.entries(object).flatMap(([name, value]): [string, Json][] => {
    if (step !== EACH && step !== name) return [[name, value]]
    const next = rest.length === 0 ? undefined : without(value, rest)
    if (next === value) return [[name, value]]
    isSame = false
    return next === undefined ? [] : [[name, next]]
  })
  return isSame ? object : Object.fromEntries(members)
}

// The places of the others stay what they were.
function withoutElements(list: readonly Json[], step: string, rest: readonly string[]): Json {
  const items = list.map((value, at) => {
    if (step !== EACH && step !== String(at)) return value
    return rest.length === 0 ? null : without(value, rest)
  })
  return items.every((item, at) => item === list[at]) ? list : items
}
