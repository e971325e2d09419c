import type { Decision, Obligation, Reason, Reservation, TraceStep } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { RecordRules } from '../model/record-rules.ts'
import type { ActionRequest } from '../model/request.ts'
import { MaskedValues, type RecordMask } from './mask.ts'
import type { CallOutcome } from './actions.ts'
import type { StoredResult } from '../model/result.ts'

// Where an action is parted in two: what decides and is sent has the clear values, what is written has their digests.
// A claim is made of the second, so whatever the ledger writes of it (the row, the entries, the approval, alerts)
// never had the first. Names, codes and effects are the gate's own and stay: an agent that chooses a masked value must
// not be able to change what the record says was decided.

type ConversationOf = (request: ActionRequest) => readonly JsonObject[]

/** Masks what is written of one action; it remembers the values of its request for what comes after. */
export class Masking {
  readonly #mask: RecordMask
  readonly #rules: RecordRules
  readonly #keysContacts: boolean
  readonly #conversationOf: ConversationOf
  readonly #values: MaskedValues

  /** `conversationOf`: what a request repeats of a conversation with a model. */
  constructor(
    mask: RecordMask,
    { rules, keysContacts }: { readonly rules: RecordRules; readonly keysContacts: boolean },
    conversationOf: ConversationOf,
  ) {
    this.#mask = mask
    this.#rules = rules
    this.#keysContacts = keysContacts
    this.#conversationOf = conversationOf
    this.#values = new MaskedValues(mask)
  }

  /** Whether anything was masked so far. */
  get any(): boolean {
    return this.#values.any
  }

  /** The request as it is on record, and what its hash is over: equal requests are equal there too. */
  request(request: ActionRequest): ActionRequest {
    const { action, context, resource, reason, headers } = request
    const hidden = {
      args: this.#values.hide(action.properties, this.#rules.args),
      context: this.#values.hide(context, this.#rules.context),
    }
    this.learn(this.#conversationOf(request))
    if (!this.any) return request
    return {
      ...request,
      action: { name: action.name, properties: this.#swept(hidden.args) },
      context: this.#swept(hidden.context),
      resource: resource && { type: resource.type, id: this.#values.data(resource.id) },
      reason: reason === null ? null : this.#values.data(reason),
      ...(headers ? { headers: this.#swept(headers) } : {}),
    }
  }

  decision(decision: Decision, facts: Facts): Decision {
    this.#values.hide(facts.lookups, this.#rules.facts)
    const reservations = decision.reservations.map((one) => this.#reservation(one))
    if (!this.any) return { ...decision, reservations }
    const reasons = decision.reasons.map((one) => this.reason(one))
    return {
      ...decision,
      reasons,
      shadow: decision.shadow.map((one) => this.reason(one)),
      trace: decision.trace.map((one) => this.#step(one)),
      obligations: decision.obligations.map((one) => this.#obligation(one)),
      reservations,
      ...(decision.facts ? { facts: this.#facts(decision.facts) } : {}),
      masked: true,
    }
  }

  reason(reason: Reason): Reason {
    return { ...reason, message: this.#values.prose(reason.message) }
  }

  /** What is written of an outcome; the caller that waits gets `judged.result` itself. */
  judged(judged: CallOutcome): CallOutcome {
    const { outcome, result, detail } = judged
    const stored = outcome.result === '' ? '' : this.#stored(outcome.result, result)
    return {
      ...judged,
      outcome: {
        ...outcome,
        result: stored,
        errorMessage: this.#values.prose(outcome.errorMessage),
      },
      ...(detail === undefined ? {} : { detail: this.#detail(detail) }),
    }
  }

  /** A message about the action. */
  message(text: string): string {
    return this.#values.prose(text)
  }

  /** What an agent is told of a turn: what is prose in it, whatever stands around it. */
  told(value: Json): Json {
    if (value === null || typeof value !== 'object') return value
    if (Array.isArray(value)) return value.map((one: Json) => this.told(one))
    const members = Object.entries(value as JsonObject).map(([name, one]) => [
      name,
      PROSE.has(name) && typeof one === 'string' ? this.#values.prose(one) : this.told(one),
    ])
    return Object.fromEntries(members) as JsonObject
  }

  /** What somebody says of what was done elsewhere: without what its metadata hide, wherever that is said again. */
  said<T extends JsonObject>(said: T): T {
    const { metadata } = said
    if (metadata === undefined) return said
    return this.#swept({ ...said, metadata: this.#values.hide(metadata, this.#rules.metadata) })
  }

  /** What a scenario says that look-ups answer. */
  facts(lookups: JsonObject): JsonObject {
    return this.#swept(this.#values.hide(lookups, this.#rules.facts))
  }

  /** Takes note of what a model was told and proposed, which it may repeat anywhere. */
  learn(messages: readonly JsonObject[]): void {
    for (const { role, content, tool_calls: calls } of messages) {
      for (const call of Array.isArray(calls) ? (calls as readonly JsonObject[]) : []) {
        this.#learnArgs(call['arguments'])
      }
      if (role === 'tool') this.#learnAnswer(content)
    }
  }

  #swept<T extends Json>(value: T): T {
    return this.#values.swept(value)
  }

  #learnArgs(text: Json | undefined): void {
    if (isJson(text)) this.#values.hideIn(text, this.#rules.args)
  }

  // As `resultForModel` puts it: the body of an upstream's answer beside its status.
  #learnAnswer(text: Json | undefined): void {
    if (!isJson(text)) return
    const pointers = this.#rules.result.map((steps) => ['body', ...steps])
    this.#values.hideIn(text, pointers)
  }

  #step(step: TraceStep): TraceStep {
    return {
      ...step,
      reasons: step.reasons.map((one) => this.reason(one)),
      observed: this.#swept(step.observed),
    }
  }

  #obligation(obligation: Obligation): Obligation {
    return { ...obligation, properties: this.#swept(obligation.properties) }
  }

  #facts(facts: Facts): Facts {
    const lookups = this.facts(facts.lookups)
    const unavailable = Object.entries(facts.unavailable).map(([name, why]) => [
      name,
      this.#values.prose(why),
    ])
    return { ...facts, lookups, unavailable: Object.fromEntries(unavailable) as JsonOfText }
  }

  // Digests of recipients are made without a key, and who has the database could try addresses. They are counted over
  // all tools, so with a mask in the policy they are keyed for every action, masked or not. Where only a policy on trial has
  // one they are not: the two would count each other's contacts under other names.
  #reservation(reservation: Reservation): Reservation {
    const { key, members } = reservation
    if (!this.#keysContacts) {
      return { ...reservation, exceeded: this.reason(reservation.exceeded) }
    }
    const keyed = (digest: string) => this.#mask.keyed(digest).slice(0, digest.length)
    return {
      ...reservation,
      key: key.replace(RECIPIENT, (_whole, at: string, digest: string) => `${at}${keyed(digest)}`),
      members: members.map(keyed),
      exceeded: this.reason(reservation.exceeded),
    }
  }

  // A hash of a text that holds a masked value could be tried.
  #detail(detail: JsonObject): JsonObject {
    const { text_sha256: hash } = detail
    const keyed =
      typeof hash === 'string' && this.any ? { text_sha256: this.#mask.keyed(hash) } : {}
    return { ...this.#swept(detail), ...keyed }
  }

  #stored(text: string, live: StoredResult | null): string {
    const kept = JSON.parse(text) as StoredResult
    const masked = this.#beginning(kept, live) ?? this.#result(kept)
    const isSame = JSON.stringify(masked) === JSON.stringify(kept)
    return isSame ? text : JSON.stringify({ ...masked, masked: true })
  }

  // A long answer is kept in part, in which nobody can say where a member stands; in the whole one it can be said.
  #beginning(kept: StoredResult, live: StoredResult | null): StoredResult | undefined {
    const { length } = kept.text ?? ''
    if (!kept.truncated || length === 0 || !live || !looksLikeJson(live)) return undefined
    if (!isJson(live.text) || this.#rules.result.length === 0) return undefined
    const hidden = this.#values.hideIn(live.text, this.#rules.result)
    // Cut behind the search, or half a value would be left at the end.
    const found = this.#values.data(hidden.slice(0, length + BEHIND_CUT_CHARS))
    const headers = this.#values.swept(kept.headers)
    return { ...kept, text: found.slice(0, length).toWellFormed(), headers }
  }

  #result(result: StoredResult): StoredResult {
    const { base64, text = '' } = result
    const masked =
      base64 === undefined
        ? { ...result, text: this.#body(text, looksLikeJson(result)) }
        : this.#binary(result, base64)
    // Behind the body, whose values may be in them.
    return { ...masked, headers: this.#swept(result.headers) }
  }

  #body(text: string, isMeantAsJson: boolean): string {
    if (text === '') return text
    if (isMeantAsJson && isJson(text)) {
      const hidden = this.#values.hideIn(text, this.#rules.result)
      this.#learnProposals(text)
      return this.#values.sweptIn(hidden)
    }
    // Nobody can say where in half a document a member would stand.
    if (isMeantAsJson && this.#rules.result.length > 0) return this.#values.withheld(text)
    return this.#values.data(text)
  }

  #binary(result: StoredResult, base64: string): StoredResult {
    const bytes = Buffer.from(base64, 'base64').toString('latin1')
    const isClear = this.#values.data(bytes) === bytes
    if (isClear && !(looksLikeJson(result) && this.#rules.result.length > 0)) return result
    const { base64: _, ...rest } = result
    return { ...rest, text: this.#values.withheld(base64) }
  }

  // An answer of a model that proposes calls has their args as text.
  #learnProposals(text: string): void {
    if (!text.includes('"tool_calls"')) return
    const { tool_calls: calls } = JSON.parse(text) as { tool_calls?: Json }
    if (Array.isArray(calls)) this.learn([{ tool_calls: calls as readonly JsonObject[] }])
  }
}

const PROSE: ReadonlySet<string> = new Set(['text', 'message', 'prompt'])
type JsonOfText = Readonly<Record<string, string>>
const BEHIND_CUT_CHARS = 10_000
const RECIPIENT = /(:contact:)([0-9a-f]{32})$/

function isJson(text: Json | undefined): text is string {
  if (typeof text !== 'string') return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function looksLikeJson({ headers, text }: StoredResult): boolean {
  const type = String(headers['content-type'] ?? '')
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(type) || /^\s*[{[]/.test(text ?? '')
}
