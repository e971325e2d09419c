import type { JsonObject } from '../../model/json.ts'
import { AGENT_MEMBERS, type AgentBody } from './agent-json.ts'
import { object, OPEN, shape, TIME } from '../edge/validate.ts'

/** The configuration an agent is spawned from: its members, and free `metadata`. */
export interface AgentConfig extends AgentBody {
  readonly metadata?: JsonObject
}

/** What a signed manifest says: an agent, and which version of that statement it is. */
export interface ManifestContent extends AgentConfig {
  readonly name: string
  readonly manifest_version: number
  readonly issued_at?: string
  readonly expires_at?: string
}

/** JSON Schemas of the members of a configuration. */
export const CONFIG_MEMBERS: JsonObject = {
  ...AGENT_MEMBERS,
  metadata: {
    ...OPEN,
    description: 'free; kept in `properties`, and its `owner` is the owner where none is given',
  },
}

export const SIGNED_MANIFEST: JsonObject = object(
  {
    manifest: {
      ...OPEN,
      description: 'members of an agent, `manifest_version`, and perhaps `expires_at`',
    },
    key_id: { type: 'string', pattern: '^[0-9a-f]{16}$' },
    signature: { type: 'string', minLength: 1, maxLength: 200, description: 'Ed25519, base64' },
  },
  ['manifest', 'key_id', 'signature'],
)

/** The content of a manifest, once its signature is known to be good. */
export const MANIFEST = shape<ManifestContent>(
  object(
    {
      ...CONFIG_MEMBERS,
      manifest_version: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
      issued_at: TIME,
      expires_at: TIME,
    },
    ['name', 'manifest_version'],
  ),
)

export const CONFIG = shape<AgentConfig>(object(CONFIG_MEMBERS))
export const NAMED_CONFIG = object(CONFIG_MEMBERS, ['name'])

/** A configuration over another: members that the second does not give come from the first. */
export function configOver(base: AgentConfig, over: AgentConfig): AgentConfig {
  const metadata = { ...base.metadata, ...over.metadata }
  const properties = { ...base.properties, ...over.properties }
  return { ...base, ...over, metadata, properties }
}

/** A configuration as the members of an agent: its metadata are kept as properties. */
export function bodyOfConfig({ metadata = {}, ...body }: AgentConfig): AgentBody {
  const { owner } = metadata
  const isNamed = typeof owner === 'string' && /^\P{Cc}{1,200}$/u.test(owner)
  return {
    ...(isNamed ? { owner } : {}),
    ...body,
    properties: { ...metadata, ...body.properties },
  }
}
