import type { AccessRequestRules } from '../../bundle/types.ts'
import { isObject } from '../../bundle/pointer.ts'
import { canonicalJson, sha256 } from '../../lib/canonical.ts'
import type { Given } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { RecordMask } from '../../record/mask.ts'

// What an approval is for: subject, resource and action as they were sent, whole, and the members of the context that matter.
// The profile compares member by member: numbers by their RFC 8785 form, strings by their characters, lists in order,
// objects by their members, and nothing with null. Two values are the same by that exactly when their RFC 8785 texts are.

/** Members of a context that are about the question and no input of the answer. */
const MACHINERY: ReadonlySet<string> = new Set([
  ...['access_request', 'approval', 'evaluation_id', 'evaluated_at', 'supported_obligations'],
])
/** What differs each time something is asked (Terminology: a PDP SHOULD exclude volatile members), unless a policy names it. */
const VOLATILE: ReadonlySet<string> = new Set([
  ...['time', 'timestamp', 'nonce', 'request_id', 'trace_id', 'reason'],
])

/** The names of the members of this context that an approval is bound to, in order. */
export function boundNames(context: JsonObject, rules: AccessRequestRules): string[] {
  const isBound = rules.context
    ? (name: string) => rules.context?.includes(name)
    : (name: string) => !VOLATILE.has(name)
  return Object.keys(context)
    .filter((name) => !MACHINERY.has(name) && isBound(name))
    .sort()
}

/** What is bound of a question. A member of the context that is not there is no member here either. */
export function boundOf({ subject, action, resource, context }: Given, names: readonly string[]) {
  const members = names.flatMap((name): [string, Json][] => {
    const value = Object.hasOwn(context, name) ? context[name] : undefined
    return value === undefined ? [] : [[name, value]]
  })
  const kept: JsonObject = Object.fromEntries(members)
  return { subject: withoutActor(subject), action, resource, context: kept }
}

// Who asks may say it in `client.actor` instead (section 19.1, Delegation and On-Behalf-Of).
function withoutActor(subject: JsonObject): JsonObject {
  const { properties } = subject
  if (!isObject(properties) || !Object.hasOwn(properties, 'act')) return subject
  const { act: _, ...rest } = properties
  return { ...subject, properties: rest }
}

export const boundText = (given: Given, names: readonly string[]): string =>
  canonicalJson(boundOf(given, names))

/** A digest of what is bound and of who asks: nobody can make one, or try guesses. */
export function boundHash(
  mask: RecordMask,
  given: Given,
  names: readonly string[],
  holder: string,
): string {
  return mask.keyed(sha256(`access request\0${holder}\0${boundText(given, names)}`))
}
