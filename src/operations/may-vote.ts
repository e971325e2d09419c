import type { Caller } from '../agents/keys.ts'
import { findAgent } from '../agents/registry.ts'
import { votesOfAll, type Approval } from '../approvals/tasks.ts'
import { objectionsTo, voiceOf, type Objection } from '../approvals/voters.ts'
import type { ApprovalRules } from '../bundle/types.ts'
import { approvalFor } from '../decide/approval.ts'
import type { JsonObject } from '../model/json.ts'
import type { Db } from '../store/tx.ts'
import { asking } from './approvals.ts'

// What a page needs to know before it offers a button: the same rules that count a vote, asked ahead. They are asked
// again when the vote is given, so an answer that is out of date by then costs a refusal and nothing else.

/** Whether this person may vote on each of these approvals, and if not, why; by approval. */
export async function mayVote(
  db: Db,
  approvals: readonly Approval[],
  caller: Caller,
  rulesOf: (approval: Approval) => ApprovalRules,
): Promise<ReadonlyMap<string, JsonObject>> {
  const open = approvals.filter(isOpen)
  const askers = await askersOf(db, open)
  const votes = await votesOfAll(
    db,
    open.map(({ id }) => id),
  )
  const objections = new Map<string, Objection>()
  const answers = new Map<string, JsonObject>()
  for (const one of open) {
    const asker = askers.get(one.id)
    if (!asker) continue
    const { requester, roles } = asker
    const terms = approvalFor(one.tool, roles, rulesOf(one))
    const known = JSON.stringify([requester, terms.separation])
    const objection =
      objections.get(known) ?? (await objectionsTo(db, requester, terms, Date.now()))
    objections.set(known, objection)
    const mine = votes.filter(({ approvalId }) => approvalId === one.id)
    const hasVoted = mine.some(({ approver }) => voiceOf(approver) === voiceOf(caller.name))
    answers.set(one.id, answerFor(caller, terms.approverRoles, objection(caller.name), hasVoted))
  }
  return answers
}

// Many approvals are of few agents, each of which is looked up once.
async function askersOf(
  db: Db,
  approvals: readonly Approval[],
): Promise<ReadonlyMap<string, Awaited<ReturnType<typeof asking>>>> {
  const byAgent = new Map<string, Awaited<ReturnType<typeof asking>> | undefined>()
  const askers = new Map<string, Awaited<ReturnType<typeof asking>>>()
  for (const one of approvals) {
    const isRequest = one.origin === 'access_request'
    const id = isRequest ? one.id : one.agentId
    if (!byAgent.has(id)) {
      const isThere = isRequest || (await findAgent(db, one.agentId)) !== undefined
      byAgent.set(id, isThere ? await asking(db, one) : undefined)
    }
    const asker = byAgent.get(id)
    if (asker) askers.set(one.id, asker)
  }
  return askers
}

const isOpen = ({ status, expiresAt: at }: Approval): boolean =>
  status === 'pending' && at.getTime() > Date.now()

function answerFor(
  { role, name }: Caller,
  roles: readonly string[],
  objection: string | null,
  hasVoted: boolean,
): JsonObject {
  if (!roles.includes(role)) {
    return {
      approve: false,
      deny: false,
      why: `this needs the role ${roles.join(' or ')}; yours is ${role}`,
    }
  }
  if (hasVoted) return { approve: false, deny: false, why: 'you have voted already' }
  if (objection !== null) return { approve: false, deny: true, why: `\`${name}\` ${objection}` }
  return { approve: true, deny: true, why: null }
}
