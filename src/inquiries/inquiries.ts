import type { Caller } from '../agents/keys.ts'
import { performance } from 'node:perf_hooks'
import type { GatewayError } from '../errors.ts'
import type { Inquiry } from '../model/inquiry.ts'
import type { JsonObject } from '../model/json.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { AccessRequests, type AccessRequestParts } from './access-requests/access-requests.ts'
import type { Submission } from './access-requests/submission.ts'
import {
  Documents,
  type DocumentAnswer,
  type DocumentParts,
  type DocumentQuestion,
} from './documents.ts'
import { Evaluations, type Asker, type Evaluation, type EvaluationParts } from './evaluations.ts'
import { AskingRates } from './rates.ts'
import { Searches, type SearchParts, type SearchQuestion, type SearchResult } from './search.ts'

/** By which policy. */
interface Revised {
  readonly revision: string
}

export interface InquiriesParts
  extends Omit<EvaluationParts, 'accessRequests'>,
    SearchParts,
    DocumentParts,
    Omit<AccessRequestParts, 'policies'> {
  readonly pipeline: Pipeline
  /** Questions a second that one key of an enforcement point may ask. */
  readonly pepRatePerS: number
}

/** Questions of those who enforce the answer themselves. Each is answered by one bundle, and nothing of it happens here. */
export class Inquiries {
  readonly #pipeline: Pipeline
  readonly #rates: AskingRates
  readonly #evaluations: Evaluations
  readonly #searches: Searches
  readonly #documents: Documents
  /** What people are asked for where a question was denied. */
  readonly accessRequests: AccessRequests

  constructor(given: InquiriesParts) {
    const { pipeline } = given
    this.accessRequests = new AccessRequests({ ...given, policies: pipeline.policies })
    const parts = { ...given, accessRequests: this.accessRequests }
    this.#pipeline = pipeline
    this.#rates = new AskingRates(given.pepRatePerS)
    this.#evaluations = new Evaluations(parts, pipeline.judge, pipeline.policies)
    this.#searches = new Searches(parts, this.#evaluations)
    this.#documents = new Documents(parts)
  }

  /**
   * Decides for somebody who enforces the answer; several by one bundle, until `isLast`.
   * @throws GatewayError where it cannot be decided or recorded: who enforces refuses then
   */
  evaluate(
    inquiries: readonly Inquiry[],
    asker: Asker,
    isLast?: (evaluation: Evaluation) => boolean,
  ): Promise<Evaluation[]> {
    this.#count(asker, inquiries.length)
    return this.#pipeline.whileOpen((bundle) =>
      this.#evaluations.evaluate(inquiries, asker, bundle, isLast),
    )
  }

  /** Asks people for what was denied. @throws GatewayError with the code of one of the profile's problems */
  async requestAccess(submission: Submission): Promise<JsonObject> {
    this.#count(submission, submission.items.length)
    return this.accessRequests.submit(submission)
  }

  /** Which of a catalogue would be permitted. @throws GatewayError where it cannot be decided or recorded */
  search(question: SearchQuestion, asker: Asker): Promise<SearchResult & Revised> {
    this.#count(asker, 1)
    return this.#pipeline.whileOpen(async (bundle) => {
      const result = await this.#searches.find(question, asker, bundle)
      return { ...result, revision: bundle.revision }
    })
  }

  /**
   * Documents of the policy by path, for somebody who enforces what they say; several by one bundle. One that cannot be
   * evaluated is an error among the answers.
   * @throws GatewayError where none can be answered
   */
  documents(
    questions: readonly DocumentQuestion[],
    asker: Pick<Asker, 'caller' | 'requestId'>,
  ): Promise<(DocumentAnswer | GatewayError)[]> {
    this.#count(asker, questions.length)
    return this.#pipeline.whileOpen((bundle) => this.#documents.answer(questions, asker, bundle))
  }

  /** Counts a question that another room answers. @throws GatewayError `rate_limited` */
  countOne(caller: Caller): void {
    this.#rates.take(caller, 1, performance.now())
  }

  #count({ caller }: Pick<Asker, 'caller'>, questions: number): void {
    this.#rates.take(caller, questions, performance.now())
  }
}
