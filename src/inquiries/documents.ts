import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Caller } from '../agents/keys.ts'
import type { Bundle, PolicyDocuments } from '../bundle/types.ts'
import { covers } from '../control/kill-state.ts'
import { GatewayError } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { Effect } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Ledger, LedgerKind } from '../record/ledger.ts'
import { evidence, EVIDENCE_CHARS_MAX } from '../record/evidence.ts'
import type { RecordMask } from '../record/mask.ts'

// Documents of a policy for who asks for them by path and enforces what they say (OPA's REST API). No guard is asked and
// nothing is looked up: it is what the rules make of the input that was sent. Each answer is on record before it is given,
// and while everything is stopped there is none.

export interface DocumentQuestion {
  /** Steps below `data`. */
  readonly path: readonly string[]
  /** JSON text, so that numbers stay as they came; undefined: none. */
  readonly inputText: string | undefined
}

export interface DocumentAnswer {
  readonly decisionId: string
  /** JSON text; undefined where the document is. */
  readonly valueText: string | undefined
}

/** Who asks. */
interface Asker {
  readonly caller: Caller
  readonly requestId: string
}

interface Answered extends DocumentAnswer, DocumentQuestion, Asker {
  readonly revision: string
  /** Why there is no value, where the evaluation failed. */
  readonly failure: string | undefined
  readonly mask: RecordMask | undefined
}

/** A larger document is not one that somebody decides by. */
export const VALUE_CHARS_MAX = 4 << 20

/** What evaluations that were asked for together may take; the rest are not begun. */
const TOGETHER_MS_MAX = 1_000
const TOO_MUCH = Object.freeze({
  valueText: undefined,
  failure: 'what was asked for before it took all that a batch may take: ask for it by itself',
})

/** What nobody's, nothing's and nowhere's action is: only a switch for everything covers it. */
const EVERYTHING = { agentId: '\0', agentName: '\0', tool: '\0', upstream: '\0' }

const DOCUMENT: LedgerKind<Answered, undefined> = {
  name: 'document',
  order: 2,
  lane: 'work',
  agentOf: ({ caller }) => caller.keyId,
  async apply(tx, answers) {
    const isStopped = tx.switches.some((one) => covers(one, EVERYTHING))
    return answers.map((one) => {
      tx.append(isStopped ? stoppedEntry(one) : entryOf(one))
      return isStopped ? killed() : undefined
    })
  },
}

const killed = () => new GatewayError('kill_switch_engaged', 'everything is stopped')

export interface DocumentParts {
  readonly ledger: Ledger
  readonly mask: RecordMask
}

export class Documents {
  readonly #parts: DocumentParts

  constructor(parts: DocumentParts) {
    this.#parts = parts
  }

  /**
   * Answers several by one bundle, in order, each by itself: one that fails is an error among the answers.
   * @throws GatewayError where none can be answered
   */
  async answer(
    questions: readonly DocumentQuestion[],
    asker: Asker,
    bundle: Bundle,
  ): Promise<(DocumentAnswer | GatewayError)[]> {
    const documents = await documentsOf(bundle)
    const { mask } = this.#parts
    const masks = Object.values(bundle.record).some((pointers) => pointers.length > 0)
    const answers: Promise<DocumentAnswer | GatewayError>[] = []
    const spent = { ms: 0, chars: 0 }
    for (const question of questions) {
      const startedAt = performance.now()
      const evaluated =
        spent.ms < TOGETHER_MS_MAX && spent.chars < VALUE_CHARS_MAX
          ? evaluate(documents, question)
          : TOO_MUCH
      const tookMs = performance.now() - startedAt
      spent.ms += tookMs
      spent.chars += evaluated.valueText?.length ?? 0
      answers.push(
        this.#recorded({
          ...question,
          ...asker,
          ...evaluated,
          revision: bundle.revision,
          decisionId: newId('dec'),
          mask: masks ? mask : undefined,
        }),
      )
      // One evaluation may take what a decision may: others, a kill switch among them, get as much time between two.
      if (questions.length > 1) await delay(tookMs)
    }
    return Promise.all(answers)
  }

  async #recorded(answered: Answered): Promise<DocumentAnswer | GatewayError> {
    try {
      await this.#parts.ledger.submit(DOCUMENT, answered)
    } catch (error) {
      if (error instanceof GatewayError) return error
      return new GatewayError('internal_error', 'something went wrong inside the gate', {
        cause: error,
      })
    }
    return answered.failure === undefined ? answered : failed(answered)
  }
}

const failed = ({ failure, decisionId }: Answered): GatewayError =>
  new GatewayError('internal_error', `the evaluation failed: ${failure}`, {
    details: { decision_id: decisionId },
  })

const NONE: PolicyDocuments = { has: () => false, answer: () => undefined }

async function documentsOf({ documents }: Bundle): Promise<PolicyDocuments> {
  try {
    return (await documents?.documents?.()) ?? NONE
  } catch (error) {
    const message = `the policy cannot be asked by path: ${(error as Error).message}`
    throw new GatewayError('internal_error', message, { cause: error })
  }
}

type Evaluated = Pick<Answered, 'valueText' | 'failure'>

function evaluate(documents: PolicyDocuments, { path, inputText }: DocumentQuestion): Evaluated {
  try {
    const valueText = documents.answer(path, inputText)
    if ((valueText?.length ?? 0) <= VALUE_CHARS_MAX) return { valueText, failure: undefined }
    const failure = `the value has more than ${VALUE_CHARS_MAX} characters`
    return { valueText: undefined, failure }
  } catch (error) {
    return { valueText: undefined, failure: (error as Error).message.toWellFormed() }
  }
}

/** What a value says to who enforces it, as far as that can be told: true and false do, alone or as `allow`. */
function effectOf(valueText: string | undefined): Effect | '' {
  if (valueText === undefined || valueText.length > EVIDENCE_CHARS_MAX) return ''
  const value = JSON.parse(valueText) as Json
  const said = isObject(value) ? (value['allow'] ?? value['allowed']) : value
  if (typeof said !== 'boolean') return ''
  return said ? 'allow' : 'deny'
}

const isObject = (value: Json): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

const entryOf = (answered: Answered): AuditDraft => draft(answered, effectOf(answered.valueText))

const stoppedEntry = (answered: Answered): AuditDraft =>
  draft({ ...answered, valueText: undefined, failure: 'kill_switch_engaged' }, 'deny')

const pathText = (path: readonly string[]): string => ['data', ...path].join('/').slice(0, 1_000)

const pathHash = (path: readonly string[], mask: RecordMask): string => mask.digest(path.join('/'))

function draft(answered: Answered, effect: Effect | ''): AuditDraft {
  const { path, inputText, valueText, failure, caller, requestId, revision, mask } = answered
  return {
    kind: 'decision.document',
    agentId: '',
    tool: '',
    effect,
    actionId: '',
    detail: {
      decision_id: answered.decisionId,
      enforced_by: 'caller',
      ...(failure === undefined ? {} : { error: failure.slice(0, 500) }),
      ...evidence('input', inputText, mask),
      key_id: caller.keyId,
      // Steps may be values: ids, addresses.
      path: mask ? pathHash(path, mask) : pathText(path),
      request_id: requestId,
      ...evidence('result', valueText, mask),
      revision,
      surface: 'opa',
    },
  }
}
