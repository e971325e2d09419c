import type { AccessRequestRules, DecisionApi } from '../bundle/types.ts'
import { isObject } from '../bundle/pointer.ts'
import { deepFreeze } from '../lib/freeze.ts'
import { closest } from '../lib/suggest.ts'
import type { Entity } from '../model/inquiry.ts'
import type { Json } from '../model/json.ts'
import type { Findings } from '../sources/diagnostics.ts'
import type { SourceDocument } from '../sources/yaml.ts'
import type { DataDocuments } from './data.ts'

export interface RawDecisionApi {
  readonly actions?: Readonly<Record<string, { readonly resource_types?: readonly string[] }>>
  readonly consume?: boolean
  readonly disclose?: readonly ('reason' | 'reasons')[]
  readonly opa?: { readonly default?: string; readonly guards?: boolean }
  readonly ext_authz?: { readonly principals?: Readonly<Record<string, string>> }
  readonly claude_code?: { readonly grant?: boolean; readonly local_ask?: boolean }
  readonly access_requests?: {
    readonly requestable_s?: number
    readonly approved_s?: number
    readonly kept_s?: number
    readonly reuse?: 'once' | 'window'
    readonly context?: readonly string[]
  }
  readonly subjects?: Catalogues
  readonly resources?: Catalogues
}

/** Documents by the type of what they list, such as `data.people`. */
type Catalogues = Readonly<Record<string, string>>

const REQUESTABLE_S = 600
const APPROVED_S = 3_600
const KEPT_S = 86_400
const OPA_DEFAULT = 'agent/allow'
/** What a search looks through. */
const ENTITIES_MAX = 10_000

/** Reads `decision_api` of `gate.yaml`. Without it, only tools may be asked about. */
export function readDecisionApi(
  raw: RawDecisionApi,
  data: DataDocuments,
  source: SourceDocument,
  found: Findings,
): DecisionApi {
  const { actions = {}, disclose = [], opa = {} } = raw
  const types = Object.entries(actions).map(
    ([name, action]) => [name, Object.freeze(action.resource_types ?? null)] as const,
  )
  const read = (kind: 'subjects' | 'resources') =>
    new Map(
      Object.entries(raw[kind] ?? {}).map(([type, name]) => {
        const path = ['decision_api', kind, type]
        return [type, readCatalogue(type, name, data, { path, source, found })] as const
      }),
    )
  return Object.freeze({
    actions: new Map(types),
    consumes: raw.consume ?? false,
    disclosesReasons: disclose.includes('reasons'),
    opa: Object.freeze({
      default: Object.freeze((opa.default ?? OPA_DEFAULT).split('/')),
      guards: opa.guards ?? false,
    }),
    claude: Object.freeze({
      grants: raw.claude_code?.grant ?? false,
      asksLocally: raw.claude_code?.local_ask ?? false,
    }),
    extAuthz: Object.freeze({
      principals: new Map(Object.entries(raw.ext_authz?.principals ?? {})),
    }),
    accessRequests: accessRequests(raw),
    subjects: read('subjects'),
    resources: read('resources'),
  })
}

function accessRequests({ access_requests: raw = {} }: RawDecisionApi): AccessRequestRules {
  const { requestable_s: requestableS = REQUESTABLE_S, approved_s: approvedS = APPROVED_S } = raw
  return deepFreeze({
    requestableMs: requestableS * 1000,
    approvedMs: approvedS * 1000,
    keptMs: (raw.kept_s ?? KEPT_S) * 1000,
    isReusable: raw.reuse === 'window',
    context: raw.context ?? null,
  })
}

interface Where {
  readonly path: readonly string[]
  readonly source: SourceDocument
  readonly found: Findings
}

function readCatalogue(
  type: string,
  written: string,
  { values, sources }: DataDocuments,
  { path, source, found }: Where,
): readonly Entity[] {
  const place = source.at(path)
  const name = written.slice('data.'.length)
  if (!Object.hasOwn(values, name)) {
    const near = closest(name, Object.keys(values))
    const hint = near && `did you mean \`data.${near}\`?`
    found.error(place, 'no_such_data', `no document \`${name}\` under data/`, hint)
    return []
  }
  const list = values[name]
  if (list === null) return [] // reported already
  if (!Array.isArray(list) || list.length > ENTITIES_MAX) {
    const message = `\`${written}\` must be a list of at most ${ENTITIES_MAX} objects with an \`id\``
    found.error(place, 'bad_catalogue', message)
    return []
  }
  const entities: Entity[] = []
  const seen = new Set<string>()
  for (const [row, item] of list.entries()) {
    const entity = entityOf(type, item)
    if (entity && !seen.has(entity.id)) {
      seen.add(entity.id)
      entities.push(entity)
    } else {
      const message = entity
        ? `\`${entity.id}\` is there twice`
        : 'an object with an `id` is wanted'
      found.error(sources.get(name)?.at(row) ?? place, 'bad_catalogue', message)
    }
  }
  return deepFreeze(entities)
}

// Of a table, the other columns are the properties.
function entityOf(type: string, item: Json): Entity | undefined {
  if (!isObject(item)) return undefined
  const { id, properties, ...others } = item
  if (typeof id !== 'string' || id === '') return undefined
  if (properties === undefined) return { type, id, properties: others }
  return isObject(properties) ? { type, id, properties } : undefined
}
