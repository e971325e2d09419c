import { LRUCache } from 'lru-cache'
import { digest } from '../lib/canonical.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { FactLookup } from '../model/tool.ts'

const CACHE_ENTRIES_MAX = 10_000

/** Calls the look-up's tool; resolves to its parsed answer, rejects when there is none. */
export type FetchFact = (lookup: FactLookup, args: JsonObject) => Promise<Json>

export interface GatheredFacts {
  readonly lookups: Readonly<Record<string, Json>>
  /** Look-ups without an answer, with why. Never guessed: the decision denies. */
  readonly unavailable: Readonly<Record<string, string>>
}

/**
 * Upstream look-ups a decision needs, such as a customer's do-not-contact flag. Answers are cached
 * for the time the tool declares; failures are not, and callers that ask at once share one call.
 */
export class FactLookups {
  readonly #cache = new LRUCache<string, { readonly value: Json }>({ max: CACHE_ENTRIES_MAX })
  readonly #inFlight = new Map<string, Promise<Json>>()

  async gather(
    lookups: readonly FactLookup[],
    args: JsonObject,
    revision: string,
    fetch: FetchFact,
  ): Promise<GatheredFacts> {
    const found: Record<string, Json> = {}
    const unavailable: Record<string, string> = {}
    await Promise.all(
      lookups.map(async (lookup) => {
        try {
          found[lookup.name] = await this.#look(lookup, factArgs(lookup, args), revision, fetch)
        } catch (error) {
          unavailable[lookup.name] = (error as Error).message
        }
      }),
    )
    return { lookups: found, unavailable }
  }

  async #look(
    lookup: FactLookup,
    args: JsonObject,
    revision: string,
    fetch: FetchFact,
  ): Promise<Json> {
    const key = `${revision} ${lookup.tool} ${digest(args)}`
    const cached = this.#cache.get(key)
    if (cached) return cached.value
    const running = this.#inFlight.get(key) ?? this.#fetch(key, lookup, args, fetch)
    return running
  }

  #fetch(key: string, lookup: FactLookup, args: JsonObject, fetch: FetchFact): Promise<Json> {
    const running = fetch(lookup, args)
      .then((value) => {
        if (lookup.ttlMs > 0) this.#cache.set(key, { value }, { ttl: lookup.ttlMs })
        return value
      })
      .finally(() => this.#inFlight.delete(key))
    this.#inFlight.set(key, running)
    return running
  }
}

function factArgs(lookup: FactLookup, args: JsonObject): JsonObject {
  const entries = Object.entries(lookup.args).map(([name, pointer]) => {
    const value = resolvePointer(args, pointer)
    if (value === undefined) throw new Error(`argument ${pointer} is missing`)
    return [name, value] as const
  })
  return Object.fromEntries(entries)
}

/** RFC 6901 within own members only; undefined where it leads nowhere. */
function resolvePointer(root: Json, pointer: string): Json | undefined {
  let value: Json | undefined = root
  for (const token of pointer.split('/').slice(1)) {
    if (value === null || typeof value !== 'object') return undefined
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    value = Object.hasOwn(value, key) ? (value as Record<string, Json>)[key] : undefined
  }
  return value
}
