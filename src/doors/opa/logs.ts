import { GatewayError } from '../../errors.ts'
import { membersOf } from '../../lib/json-spans.ts'
import type { AuditDraft } from '../../model/audit.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { evidence } from '../../record/evidence.ts'
import type { RecordMask } from '../../record/mask.ts'
import { objectOf } from '../authzen/wire.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { PEPS } from '../edge/roles.ts'
import { OPEN } from '../edge/validate.ts'
import { jsonBody, memberOf, type JsonText } from './body.ts'
import { FAILURES } from './errors.ts'

// Decision logs of an OPA that decided elsewhere: its word, put on the record as evidence. No window counts it.

const LIMITS = { bytesMax: 10 << 20, valuesMax: 200_000 }
const DECISIONS_MAX = 1_000
const TEXT_CHARS_MAX = 1_000
const DEADLINE_MS = 10_000

/** Members that are texts of a few characters, kept as they are. */
const TEXTS = ['decision_id', 'path', 'timestamp', 'requested_by', 'trace_id', 'span_id'] as const

/** `POST /logs`. */
export function opaLogEndpoints(parts: PartsOf): Endpoints {
  return new Endpoints('opa', parts).write(
    'post',
    '/logs',
    {
      summary: 'Put decisions of an OPA on the record',
      description:
        'A decision log as OPA uploads it: a list, which may be packed with gzip. Each is an entry `decision.imported`.',
      roles: PEPS,
      accepts: ['application/json'],
      answer: OPEN,
      also: FAILURES,
      deadlineMs: DEADLINE_MS,
      errors: ['invalid_request', 'audit_unavailable', 'overloaded', 'kill_state_unknown'],
    },
    async ({ req, caller }) => {
      const body = await jsonBody(req, LIMITS)
      const rules = Object.values(parts.policies.current.record)
      const mask = rules.some((pointers) => pointers.length > 0) ? parts.mask : undefined
      const drafts = body === undefined ? [] : draftsOf(body, caller.keyId, mask)
      return async (tx) => {
        for (const draft of drafts) tx.append(draft)
        return {}
      }
    },
  )
}

function draftsOf(
  body: JsonText,
  keyId: string,
  mask: RecordMask | undefined,
): readonly AuditDraft[] {
  if (!Array.isArray(body.value)) {
    throw new GatewayError('invalid_request', 'the body must be a list of decisions')
  }
  if (body.value.length > DECISIONS_MAX) {
    throw new GatewayError('invalid_request', `at most ${DECISIONS_MAX} decisions at once`)
  }
  const texts = [...membersOf(body.text)].map(([, text]) => text)
  return body.value.map((item: Json, at) => {
    const decision = objectOf(item, `[${at}]`)
    const text = (name: 'input' | 'result') =>
      decision[name] === undefined ? undefined : memberOf(texts[at] ?? '{}', name)
    return {
      kind: 'decision.imported',
      agentId: '',
      tool: '',
      effect: '',
      actionId: '',
      detail: {
        ...textsOf(decision, at),
        ...revisionOf(decision),
        ...evidence('input', text('input'), mask),
        ...evidence('result', text('result'), mask),
        key_id: keyId,
        surface: 'opa',
      },
    }
  })
}

function textsOf(decision: JsonObject, at: number): JsonObject {
  if (decision['decision_id'] === undefined) {
    throw new GatewayError('invalid_request', `\`[${at}].decision_id\` is missing`)
  }
  const texts: Record<string, Json> = {}
  for (const name of TEXTS) {
    const value = decision[name]
    if (value === undefined) continue
    if (typeof value !== 'string' || value.length > TEXT_CHARS_MAX || value.includes('\0')) {
      throw new GatewayError(
        'invalid_request',
        `\`[${at}].${name}\` must be a text of at most ${TEXT_CHARS_MAX} characters`,
      )
    }
    texts[name] = value
  }
  return texts
}

/** Of the bundles that decided, by name. */
function revisionOf({ bundles }: JsonObject): JsonObject {
  if (bundles === null || typeof bundles !== 'object' || Array.isArray(bundles)) return {}
  const names = Object.entries(bundles as JsonObject).slice(0, 20)
  const revisions = names.flatMap(([name, bundle]) => {
    const { revision } = (bundle ?? {}) as JsonObject
    return typeof revision === 'string' ? [[name.slice(0, 200), revision.slice(0, 200)]] : []
  })
  return { revisions: Object.fromEntries(revisions) as JsonObject }
}
