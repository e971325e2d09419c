import { holderOf, type Caller } from '../../agents/keys.ts'
import {
  accessStands,
  findAccessTask,
  type AccessStand,
  type AccessTask,
} from '../../approvals/access.ts'
import type { EnvironmentKeys } from '../../approvals/voters.ts'
import type { AccessRequestRules } from '../../bundle/types.ts'
import { GatewayError } from '../../errors.ts'
import type { Given, Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Claim } from '../../pipeline/claim.ts'
import type { LedgerKind } from '../../record/ledger.ts'
import type { Db } from '../../store/tx.ts'
import { shownApproval } from './approval.ts'
import { boundHash, boundNames } from './bound.ts'
import { offerJson, requestable, type Denied, type Requestable } from './offer.ts'
import { reevaluationKind, type Reevaluated, type ShownClaim } from './reevaluation.ts'
import { submitted, type Submission, type SubmissionParts } from './submission.ts'
import { taskJson } from './task-view.ts'

// AuthZEN's Access Request and Approval Profile, draft 1: this gate is the PDP and the Access Request Service in one. A denial
// that a person could lift is offered as such (`offer.ts`), asked for (`submission.ts`), waited for as a task
// (`task-view.ts`) that people vote on like on any other approval, and asked about again (`reevaluation.ts`). Approving one
// carries nothing out, because there is nothing here to carry out.

export interface AccessRequestParts extends SubmissionParts {
  readonly environment: EnvironmentKeys
}

/** A task with its items. */
export interface KnownTask {
  readonly task: AccessTask
  readonly stands: readonly AccessStand[]
}

export class AccessRequests {
  readonly #parts: AccessRequestParts
  readonly #reevaluation: LedgerKind<ShownClaim, Reevaluated>

  constructor(parts: AccessRequestParts) {
    this.#parts = parts
    this.#reevaluation = reevaluationKind(parts.environment)
  }

  /** A task that has ended, for who is told of it. */
  async ended(id: string): Promise<(KnownTask & { readonly shown: JsonObject }) | undefined> {
    const task = await findAccessTask(this.#parts.db, id)
    if (!task) return undefined
    const known = await this.#with(task)
    return { ...known, shown: this.#shown(known) }
  }

  /** What both kinds of tokens are verified with. */
  get keys(): JsonObject {
    return this.#parts.tokens.keys
  }

  get isOffered(): boolean {
    return this.#parts.tokens.isOffered
  }

  /** What a denial of this is to be bound to; undefined where it cannot be asked for. */
  requestable(
    given: Given | undefined,
    rules: AccessRequestRules,
    caller: Caller,
  ): Requestable | undefined {
    return requestable(given, rules, caller, this.#parts)
  }

  /** `context.access_request` of a denial. */
  offer(denied: Denied, caller: Caller): JsonObject {
    return offerJson(denied, caller, this.#parts.tokens)
  }

  /** Decides what is asked with an approval, and puts it on record. */
  reevaluate(
    claim: Claim,
    { inquiry: { given }, shown, caller, rules }: AskedAgain,
  ): Promise<Reevaluated> {
    const { ledger, tokens, mask } = this.#parts
    const holder = holderOf(caller)
    const { isReusable } = rules
    // A member that was not there when it was denied was not approved either.
    const now = given ? boundNames(given.context, rules) : []
    return ledger.submit(this.#reevaluation, {
      ...{ claim, holder, isReusable, shown: shownApproval(shown, tokens) },
      boundHash: (names) =>
        given ? boundHash(mask, given, [...new Set([...names, ...now])], holder) : '',
    })
  }

  /** @throws GatewayError with the code of one of the profile's problems */
  async submit(submission: Submission): Promise<JsonObject> {
    if (!this.isOffered) {
      throw new GatewayError('not_requestable', 'this gate has no public https URL to be asked at')
    }
    return this.#shown(await this.#with(await submitted(submission, this.#parts)))
  }

  /** A task, for whoever may go on with it. @throws GatewayError `unknown_task`, `task_expired` */
  async task(id: string, caller: Caller): Promise<JsonObject> {
    return this.#shown(await this.known(id, caller))
  }

  /** @throws GatewayError `unknown_task`, in the same words for one that is somebody else's; `task_expired` */
  async known(id: string, caller: Caller, db: Db = this.#parts.db): Promise<KnownTask> {
    const task = await findAccessTask(db, id)
    const isOurs = task !== undefined && task.holder === holderOf(caller)
    if (!task || !(isOurs || caller.role === 'admin')) {
      throw new GatewayError('unknown_task', `there is no task \`${id.slice(0, 64)}\``)
    }
    if (task.expiresAt.getTime() <= Date.now()) {
      throw new GatewayError('task_expired', 'this task is not answered any more')
    }
    return this.#with(task, db)
  }

  async #with(task: AccessTask, db: Db = this.#parts.db): Promise<KnownTask> {
    return { task, stands: await accessStands(db, task.id) }
  }

  #shown({ task, stands }: KnownTask): JsonObject {
    return taskJson(task, stands, Date.now(), this.#parts)
  }
}

/** A question that comes with an approval. */
export interface AskedAgain {
  readonly inquiry: Inquiry
  readonly shown: Json
  readonly caller: Caller
  readonly rules: AccessRequestRules
}
