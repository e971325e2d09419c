import type { Approval } from '../../approvals/tasks.ts'
import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import { approvalViews } from '../../operations/approval-view.ts'
import { voteOn } from '../../operations/approvals.ts'
import type { Tx } from '../../record/ledger.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, APPROVAL_ANSWER, list, STRING } from '../edge/schemas.ts'
import { NAME, object, shape } from '../edge/validate.ts'
import { REASON, reasonIn, type ReasonBody } from './reason.ts'

const VOTES_MAX = 100

interface Wanted {
  readonly id: string
  readonly vote: 'approve' | 'deny'
}

const BODY = shape<ReasonBody & { readonly votes: readonly Wanted[] }>(
  object(
    {
      votes: {
        type: 'array',
        minItems: 1,
        maxItems: VOTES_MAX,
        description: 'in the order in which they are to count',
        items: object({ id: NAME, vote: { enum: ['approve', 'deny'] } }, ['id', 'vote']),
      },
      ...REASON,
    },
    ['votes'],
  ),
)
const ERROR = always({ code: STRING, message: STRING })
const ANSWER = always({
  votes: list(
    always({
      id: STRING,
      approval: {
        anyOf: [APPROVAL_ANSWER, { type: 'null' }],
        description: 'as it is now; null: the vote was refused',
      },
      error: { anyOf: [ERROR, { type: 'null' }], description: 'why it was refused' },
    }),
  ),
})

/** `POST /approvals/votes`: many votes at once, each for itself. */
export function approvalVoteEndpoints(
  parts: PartsOf<'config' | 'keyRing' | 'pipeline'>,
): Endpoints {
  const endpoints = new Endpoints('approvals', parts)
  endpoints.write(
    'post',
    '/approvals/votes',
    {
      answer: ANSWER,
      summary: 'Approve or deny several of what is held; a vote that is refused leaves the others',
      roles: READERS,
      body: BODY,
    },
    ({ body, caller }) => {
      assertDistinct(body.votes)
      return async (tx) => {
        const cast = await castAll(tx, body.votes, caller, reasonIn(body), parts)
        const approvals = cast.flatMap(({ approval }) => approval ?? [])
        const views = await approvalViews(tx, approvals, {
          bundleOf: parts.pipeline.policies.holding,
          serverUrl: parts.config.publicServerUrl,
          mask: parts.mask,
        })
        const viewOf = new Map(views.map((view) => [view['id'], view]))
        return {
          votes: cast.map(({ id, error }) => ({ id, approval: viewOf.get(id) ?? null, error })),
        }
      }
    },
  )
  return endpoints
}

interface Cast {
  readonly id: string
  readonly approval?: Approval
  readonly error: { readonly code: string; readonly message: string } | null
}

// In one batch, one after the other: what refuses a vote is found before anything of it is written.
async function castAll(
  tx: Tx,
  votes: readonly Wanted[],
  caller: Caller,
  reason: string,
  { pipeline, keyRing: environment }: PartsOf<'keyRing' | 'pipeline'>,
): Promise<readonly Cast[]> {
  const rulesOf = (one: Approval) => pipeline.policies.holding(one).approvals
  const cast: Cast[] = []
  for (const { id, vote } of votes) {
    try {
      const voting = { rulesOf, environment }
      cast.push({ id, approval: await voteOn(tx, id, caller, vote, reason, voting), error: null })
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      cast.push({ id, error: { code: error.code, message: error.message } })
    }
  }
  return cast
}

function assertDistinct(votes: readonly Wanted[]): void {
  const seen = new Set<string>()
  for (const { id } of votes) {
    if (seen.has(id)) {
      throw new GatewayError('invalid_request', `\`${id}\` is voted on twice in one request`)
    }
    seen.add(id)
  }
}
