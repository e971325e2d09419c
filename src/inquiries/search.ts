import { listAgents } from '../agents/registry.ts'
import type { Bundle } from '../bundle/types.ts'
import { canonicalJson, sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Entity, Inquiry } from '../model/inquiry.ts'
import type { Ledger } from '../record/ledger.ts'
import type { Db } from '../store/tx.ts'
import type { Asker, Evaluations } from './evaluations.ts'

// Who may do something, what somebody may do it to, or what somebody may do: each candidate of a catalogue is decided like
// a question of its own, switches, statuses, windows and budgets included, so that a search never names what a question
// would deny. The record gets the search, and not ten thousand decisions.

export type SearchKind = 'subject' | 'resource' | 'action'

export interface SearchQuestion {
  readonly kind: SearchKind
  /** The searched one has its type only, and properties that count for each candidate. */
  readonly inquiry: Inquiry
  /** The first candidate to look at. */
  readonly from: number
  /** How many to find. */
  readonly limit: number
}

export interface SearchResult {
  readonly decisionId: string
  /** Of actions, the id is the name. */
  readonly found: readonly { readonly type: string; readonly id: string }[]
  /** The candidate to go on at; null: there are no more. */
  readonly next: number | null
}

/** Looked at one behind another, so that what else comes in is not kept waiting. */
const AT_ONCE = 50
const CANDIDATES_MAX = 10_000
const AGENTS_PER_PAGE = 500

export interface SearchParts {
  readonly db: Db
  readonly ledger: Ledger
}

export class Searches {
  readonly #parts: SearchParts
  readonly #evaluations: Evaluations

  constructor(parts: SearchParts, evaluations: Evaluations) {
    this.#parts = parts
    this.#evaluations = evaluations
  }

  /** @throws GatewayError where it cannot be decided or recorded */
  async find(question: SearchQuestion, asker: Asker, bundle: Bundle): Promise<SearchResult> {
    const candidates = await this.#candidates(question, bundle)
    const found: SearchResult['found'][number][] = []
    let at = question.from
    while (at < candidates.length && found.length < question.limit) {
      const some = candidates.slice(at, at + AT_ONCE)
      const inquiries = some.map((one) => inquiryAbout(question, one))
      const evaluations = await this.#evaluations.evaluate(
        inquiries,
        { ...asker, isPart: true },
        bundle,
      )
      for (const [index, { effect }] of evaluations.entries()) {
        if (found.length === question.limit) break
        at++
        const { type, id } = some[index] as Entity
        if (effect === 'allow') found.push({ type, id })
      }
    }
    const result = {
      decisionId: newId('dec'),
      found,
      next: at < candidates.length ? at : null,
    }
    await this.#record(question, result, asker, bundle)
    return result
  }

  async #candidates({ kind, inquiry }: SearchQuestion, bundle: Bundle): Promise<Entity[]> {
    const { subjects, resources, actions } = bundle.decisionApi
    const { subject, resource } = inquiry
    if (kind === 'subject') {
      return subject.type === 'agent' ? this.#agents() : [...(subjects.get(subject.type) ?? [])]
    }
    if (kind === 'resource') return [...(resources.get(resource.type) ?? [])]
    const names = [...actions].flatMap(([name, types]) =>
      types === null || types.includes(resource.type) ? [name] : [],
    )
    return names.map((id) => ({ type: '', id, properties: {} }))
  }

  async #agents(): Promise<Entity[]> {
    const all: Entity[] = []
    let after: string | undefined
    do {
      const page = await listAgents(this.#parts.db, { after, limit: AGENTS_PER_PAGE })
      for (const { id } of page) all.push({ type: 'agent', id, properties: {} })
      after = page.length === AGENTS_PER_PAGE ? page.at(-1)?.id : undefined
    } while (after !== undefined && all.length < CANDIDATES_MAX)
    return all.slice(0, CANDIDATES_MAX)
  }

  async #record(
    { kind, inquiry }: SearchQuestion,
    { decisionId, found, next }: SearchResult,
    { caller, requestId, surface }: Asker,
    { revision }: Bundle,
  ): Promise<void> {
    const { subject, action, resource } = inquiry
    const ids = found.map(({ id }) => id)
    await this.#parts.ledger.write(async (tx) => {
      tx.append({
        kind: 'decision.search',
        agentId: '',
        tool: kind === 'action' ? '' : action.name,
        effect: '',
        actionId: '',
        detail: {
          decision_id: decisionId,
          enforced_by: 'caller',
          found: ids.length,
          found_hash: sha256(canonicalJson(ids)),
          key_id: caller.keyId,
          more: next !== null,
          request_id: requestId,
          ...(kind === 'resource' ? {} : { resource: shown(resource) }),
          revision,
          searched: kind,
          ...(kind === 'subject' ? {} : { subject: shown(subject) }),
          surface,
        },
      })
    })
  }
}

const shown = ({ type, id }: Entity) => ({ type, id })

// What the catalogue says of a candidate stands under what is asked about all.
function inquiryAbout({ kind, inquiry }: SearchQuestion, candidate: Entity): Inquiry {
  if (kind === 'action') return { ...inquiry, action: { ...inquiry.action, name: candidate.id } }
  const { type, id } = candidate
  const properties = { ...candidate.properties, ...inquiry[kind].properties }
  return { ...inquiry, [kind]: { type, id, properties } }
}
