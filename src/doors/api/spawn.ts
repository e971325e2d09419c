import { newAgent, type Agent, type NewAgent } from '../../agents/agent.ts'
import { admitManifest, assertUnsigned, openManifest } from '../../agents/manifests.ts'
import { agentOf } from '../../agents/registry.ts'
import { addTemplate, findTemplate, listTemplates, type Template } from '../../agents/templates.ts'
import { GatewayError } from '../../errors.ts'
import { canonicalJson } from '../../lib/canonical.ts'
import type { SignedManifest } from '../../lib/manifest.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { changeAgent, registerAgent, registryEntry } from '../../operations/registry.ts'
import type { Db, Tx } from '../../store/tx.ts'
import {
  bodyOfConfig,
  CONFIG,
  CONFIG_MEMBERS,
  configOver,
  MANIFEST,
  SIGNED_MANIFEST,
  type AgentConfig,
  type ManifestContent,
} from './agent-config.ts'
import { AGENT_ANSWER, agentJson, changeOf, profileOf } from './agent-json.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import { ADMINS, READERS } from '../edge/roles.ts'
import { always, AT, INTEGER, page, SHOWN_KEY, STRING } from '../edge/schemas.ts'
import { NAME, object, PAGE, PAGE_DEFAULT, params, shape, TEXT, OPEN } from '../edge/validate.ts'

const VERSION = { type: 'integer', minimum: 1, maximum: 1_000_000 } as const

const TEMPLATE = shape<{ name: string; description?: string; config: AgentConfig }>(
  object({ name: NAME, description: TEXT, config: object(CONFIG_MEMBERS) }, ['name', 'config']),
)
const TEMPLATE_ANSWER = always({
  id: STRING,
  name: STRING,
  version: INTEGER,
  description: STRING,
  config: OPEN,
  created_by: STRING,
  created_at: AT,
})
const ONE_TEMPLATE = always({ template: TEMPLATE_ANSWER })
const LIST = params<{ name?: string; limit?: number; cursor?: string }>({
  name: { ...NAME, description: 'every version of this one' },
  ...PAGE,
})
const ONE = params<{ version?: number }>({ version: VERSION })
const SPAWN = shape<SpawnBody>(
  object({
    template: { ...NAME, description: 'id or name of a template' },
    template_version: VERSION,
    agent_config: object(CONFIG_MEMBERS),
    signed_manifest: SIGNED_MANIFEST,
  }),
)
const UPGRADE = shape<{ signed_manifest: SignedManifest }>(
  object({ signed_manifest: SIGNED_MANIFEST }, ['signed_manifest']),
)

interface SpawnBody {
  readonly template?: string
  readonly template_version?: number
  readonly agent_config?: AgentConfig
  readonly signed_manifest?: SignedManifest
}

/** Templates, and agents made from them, from a configuration or from a signed manifest. */
export function spawnEndpoints(parts: PartsOf<'db' | 'metrics' | 'trust'>): Endpoints {
  const { db, metrics } = parts
  const endpoints = new Endpoints('templates', parts)

  endpoints.write(
    'post',
    '/api/v1/templates',
    {
      answer: ONE_TEMPLATE,
      summary: 'Add a template, or the next version of one',
      roles: ADMINS,
      body: TEMPLATE,
      status: 201,
    },
    ({ body: { name, description = '', config }, caller }) =>
      async (tx) => {
        profileOf(bodyOfConfig(config)) // money that is none shows now and not at the first spawn
        const added = { name, description, config: config as JsonObject, actor: caller.name }
        const template = await addTemplate(tx, added)
        const detail = { template: name, version: template.version, actor: caller.name }
        tx.append(registryEntry('template.added', '', detail))
        return { template: templateJson(template) }
      },
  )

  endpoints.on(
    'get',
    '/api/v1/templates',
    {
      answer: page('templates', TEMPLATE_ANSWER),
      summary: 'List templates, the newest version of each',
      roles: READERS,
      query: LIST,
    },
    async ({ query: { name = null, cursor = '', limit = PAGE_DEFAULT } }) => {
      const templates = await listTemplates(db, { name, after: cursor, limit })
      const next =
        name === null && templates.length === limit ? (templates.at(-1)?.name ?? null) : null
      return { templates: templates.map(templateJson), next_cursor: next }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/templates/:id',
    {
      answer: ONE_TEMPLATE,
      summary: 'Read a template by id or name: one version, or the newest',
      roles: READERS,
      query: ONE,
      errors: ['not_found'],
    },
    async ({ id, query: { version = null } }) => ({
      template: templateJson(await templateOf(db, id, version)),
    }),
  )

  endpoints.write(
    'post',
    '/api/v1/agents/spawn',
    {
      summary: 'Make an agent from a template, a configuration or a signed manifest',
      description:
        'It begins as `initializing`: `start` or `activate` lets it act. Some profiles need a manifest ' +
        'that a trusted key signed.',
      roles: ADMINS,
      body: SPAWN,
      status: 201,
      answer: always({
        ok: { const: true },
        agent_id: STRING,
        status: { const: 'initializing' },
        agent: AGENT_ANSWER,
        api_key: SHOWN_KEY,
      }),
      errors: ['invalid_signature', 'manifest_replayed', 'conflict', 'not_found'],
    },
    ({ body, caller }) => {
      const startedAt = performance.now()
      return async (tx) => {
        const created = await registerAgent(tx, await spawned(tx, body, parts), caller)
        tx.afterCommit(() => metrics.spawnSeconds.observe((performance.now() - startedAt) / 1000))
        const { agent, key } = created
        const answer = { ok: true, agent_id: agent.id, status: agent.status }
        return { ...answer, agent: agentJson(agent), api_key: key }
      }
    },
  )

  endpoints.write(
    'put',
    '/api/v1/agents/:id/manifest',
    {
      answer: always({ agent: AGENT_ANSWER }),
      summary: 'Bring an agent up to a newer signed manifest',
      roles: ADMINS,
      body: UPGRADE,
      errors: ['invalid_signature', 'manifest_replayed', 'not_found'],
    },
    ({ id, body, caller }) =>
      async (tx) => {
        const agent = await agentOf(tx, id)
        const { content, hash } = await admitted(tx, body.signed_manifest, parts)
        assertSameName(agent, content)
        const change = changeOf(bodyOfConfig(configOf(content)))
        const changed = await changeAgent(tx, agent.id, { ...change, manifestHash: hash }, caller)
        return { agent: agentJson(changed) }
      },
  )

  return endpoints
}

async function spawned(
  tx: Tx,
  body: SpawnBody,
  parts: Pick<HttpParts, 'trust'>,
): Promise<NewAgent> {
  const { template: from, agent_config: asked = {}, signed_manifest: signed } = body
  const template =
    from === undefined ? null : await templateOf(tx, from, body.template_version ?? null)
  const base = template ? CONFIG(JSON.parse(template.config) as JsonObject) : {}
  const config = configOver(base, asked)
  if (signed) return fromManifest(tx, signed, config, parts)
  assertUnsigned(parts.trust, config.profile)
  if (config.name === undefined) {
    throw new GatewayError('invalid_request', '`agent_config.name` is needed')
  }
  const agent = newAgent(config.name, profileOf(bodyOfConfig(config)))
  const source = template ? `${template.name}@${template.version}` : ''
  return { ...agent, status: 'initializing', template: source }
}

// The manifest is the whole configuration: what else is given may repeat it, and nothing more.
async function fromManifest(
  tx: Tx,
  signed: SignedManifest,
  config: AgentConfig,
  parts: Pick<HttpParts, 'trust'>,
): Promise<NewAgent> {
  const { content, hash } = await admitted(tx, signed, parts)
  for (const [member, value] of Object.entries(config)) {
    if (isSame(value as Json, (content as unknown as JsonObject)[member])) continue
    throw new GatewayError('invalid_signature', `the manifest does not cover this \`${member}\``)
  }
  const agent = newAgent(content.name, profileOf(bodyOfConfig(configOf(content))))
  return { ...agent, status: 'initializing', manifestHash: hash }
}

async function admitted(
  tx: Tx,
  signed: SignedManifest,
  { trust }: Pick<HttpParts, 'trust'>,
): Promise<{ content: ManifestContent; hash: string }> {
  const opened = openManifest(signed, trust, tx.nowMs)
  const content = MANIFEST(opened.content)
  const { name, manifest_version: version } = content
  await admitManifest(tx, { name, version, hash: opened.hash, keyId: signed.key_id })
  return { content, hash: opened.hash }
}

function configOf(content: ManifestContent): AgentConfig {
  const {
    manifest_version: _version,
    issued_at: _issued,
    expires_at: _expires,
    ...config
  } = content
  return config
}

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined ||
  (value !== null && typeof value === 'object' && Object.keys(value).length === 0)

const isSame = (a: Json | undefined, b: Json | undefined): boolean =>
  isEmpty(a) || (b !== undefined && canonicalJson(a as Json) === canonicalJson(b))

function assertSameName(agent: Agent, content: ManifestContent): void {
  if (agent.name === content.name) return
  throw new GatewayError('conflict', `the manifest is for \`${content.name}\``)
}

async function templateOf(db: Db, idOrName: string, version: number | null): Promise<Template> {
  const template = await findTemplate(db, idOrName, version)
  if (template) return template
  const which = version === null ? '' : ` version ${version}`
  throw new GatewayError('not_found', `there is no template \`${idOrName.slice(0, 64)}\`${which}`)
}

function templateJson(template: Template): JsonObject {
  return {
    id: template.id,
    name: template.name,
    version: template.version,
    description: template.description,
    config: JSON.parse(template.config) as JsonObject,
    created_by: template.actor,
    created_at: template.createdAt.toISOString(),
  }
}
