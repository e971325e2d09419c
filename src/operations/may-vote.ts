import type { Caller } from '../agents/keys.ts'
import type { Agent } from '../agents/agent.ts'
import { findAgent } from '../agents/registry.ts'
import { votesOfAll, type Approval } from '../approvals/tasks.ts'
import { objectionsTo, voiceOf, type Objection } from '../approvals/voters.ts'
import type { ApprovalRules } from '../bundle/types.ts'
import { approvalFor } from '../decide/approval.ts'
import type { JsonObject } from '../model/json.ts'
import type { Db } from '../store/tx.ts'

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
  const agents = new Map<string, Agent>()
  for (const id of new Set(open.map((one) => one.agentId))) {
    const agent = await findAgent(db, id)
    if (agent) agents.set(id, agent)
  }
  const votes = await votesOfAll(
    db,
    open.map(({ id }) => id),
  )
  const objections = new Map<string, Objection>()
  const answers = new Map<string, JsonObject>()
  for (const one of open) {
    const agent = agents.get(one.agentId)
    if (!agent) continue
    const terms = approvalFor(one.tool, agent.roles, rulesOf(one))
    const known = `${agent.id} ${JSON.stringify(terms.separation)}`
    const requester = { agentId: agent.id, agentName: agent.name, owner: agent.owner }
    const objection =
      objections.get(known) ?? (await objectionsTo(db, requester, terms, Date.now()))
    objections.set(known, objection)
    const mine = votes.filter(({ approvalId }) => approvalId === one.id)
    const hasVoted = mine.some(({ approver }) => voiceOf(approver) === voiceOf(caller.name))
    answers.set(one.id, answerFor(caller, terms.approverRoles, objection(caller.name), hasVoted))
  }
  return answers
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
