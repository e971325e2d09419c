import { Router } from 'express'
import type { KillScope } from '../../control/kill-switch.ts'
import type { KillRow } from '../../store/tx.ts'
import { bodyObject, callerOf } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { NAME, object, shape, TEXT } from '../validate.ts'

interface KillBody {
  readonly engaged: boolean
  readonly scope?: Partial<Record<'agent' | 'tool' | 'upstream', string>>
  readonly reason: string
}

const checkKill = shape<KillBody>(
  object(
    {
      engaged: { type: 'boolean' },
      scope: object({ agent: NAME, tool: NAME, upstream: NAME }),
      reason: { ...TEXT, minLength: 1 },
    },
    ['engaged', 'reason'],
  ),
)

/** `GET /kill-switch` and `PUT /kill-switch`. */
export function killSwitchRoutes({ operations, killState, replica }: HttpParts): Router {
  const router = Router({ caseSensitive: true })

  router.get(
    '/kill-switch',
    allow('agent', 'observer', 'approver', 'operator', 'admin'),
    async (_req, res) => {
      await replica.beat()
      res.json({
        engaged: killState.rows.some((row) => row.agent + row.tool + row.upstream === ''),
        known: killState.isKnown,
        switches: killState.rows.map(switchJson),
      })
    },
  )

  router.put('/kill-switch', allow('operator', 'admin'), strictBody, async (req, res) => {
    const { engaged, scope, reason } = checkKill(bodyObject(req))
    const where = toScope(scope)
    const actor = callerOf(req).name
    if (!engaged) {
      await operations.releaseKill(where, reason, actor)
      await replica.beat()
      res.json({ engaged: false, scope: where, reason, actor })
      return
    }
    const { unconfirmed, recorded } = await operations.engageKill(where, reason, actor)
    await replica.beat()
    const isProven = recorded && unconfirmed.length === 0
    res
      .status(isProven ? 200 : 202)
      .json({ engaged: true, scope: where, reason, actor, recorded, unconfirmed })
  })

  return router
}

function toScope(scope: KillBody['scope'] = {}): KillScope {
  return { agent: scope.agent ?? null, tool: scope.tool ?? null, upstream: scope.upstream ?? null }
}

function switchJson(row: KillRow) {
  return {
    scope: { agent: row.agent || null, tool: row.tool || null, upstream: row.upstream || null },
    reason: row.reason,
    actor: row.actor,
    engaged_at: row.engagedAt.toISOString(),
  }
}
