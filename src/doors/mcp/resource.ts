import { GatewayError } from '../../errors.ts'
import type { OAuthConfig } from '../../config.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { always, list, STRING } from '../edge/schemas.ts'

// What the paths below `/mcp` are to OAuth: protected resources, each with a URL of its own, which tokens are made out to, and a
// document that says whose tokens are taken (RFC 9728). The URLs are made of `PUBLIC_SERVER_URL` and never of what a request says of
// its host. Whether a server of some name exists is not to be learnt here: every name has a document.

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
const SERVER = /^[a-z][a-z0-9-]{0,30}$/

/** A path as a resource: what tokens are made out to, and where its document is. */
export interface Resource {
  readonly url: string
  readonly metadataUrl: string
  /** What a token may be made out to: this path, or the gate as a whole. */
  readonly audiences: readonly string[]
}

/** The resource at a path of the gate, such as `/mcp/files`; '' is the gate itself. */
export function resourceAt({ baseUrl }: OAuthConfig, path: string): Resource {
  const { origin, pathname } = new URL(baseUrl)
  const below = pathname.replace(/\/+$/, '')
  const url = `${origin}${below}${path}`
  return {
    url,
    metadataUrl: `${origin}${WELL_KNOWN}${below}${path}`,
    audiences: [url, `${origin}${below}`, `${origin}${below}/`],
  }
}

const DOCUMENT = always({
  resource: STRING,
  authorization_servers: list(STRING),
  scopes_supported: list(STRING),
  bearer_methods_supported: list(STRING),
  resource_name: STRING,
})

/** `/.well-known/oauth-protected-resource`, of the gate and of each path below `/mcp`. */
export function resourceEndpoints(parts: PartsOf<'config'>): Endpoints {
  const endpoints = new Endpoints('mcp', parts)
  const add = (below: string, what: string) =>
    endpoints.on(
      'get',
      `${WELL_KNOWN}${below}`,
      {
        summary: `Whose tokens are taken at ${what} (RFC 9728)`,
        description: 'There is none without `MCP_OAUTH_ISSUERS`.',
        roles: 'open',
        answer: DOCUMENT,
        errors: ['not_found'],
      },
      (asked) => {
        const { server } = asked.req.params as { readonly server?: string }
        if (server !== undefined && !SERVER.test(server)) {
          throw new GatewayError('not_found', 'no MCP server can have this name')
        }
        return documentOf(parts, below.replace(':server', server ?? ''))
      },
    )
  add('', 'the gate')
  add('/mcp', '`/mcp`')
  add('/mcp/:server', '`/mcp/{server}`')
  return endpoints
}

function documentOf({ config }: PartsOf<'config'>, path: string) {
  const { oauth } = config
  if (!oauth) throw new GatewayError('not_found', 'no tokens are taken here: MCP_OAUTH_ISSUERS')
  return {
    resource: resourceAt(oauth, path).url,
    authorization_servers: [...oauth.issuers],
    scopes_supported: [...oauth.scopes],
    bearer_methods_supported: ['header'],
    resource_name: `Portcullis${path === '' ? '' : ` ${path}`}`,
  }
}
