import { agentNames, countAgents, newestNames } from '../agents/known.ts'
import { findAgent } from '../agents/registry.ts'
import type { KillScope } from '../control/kill-switch.ts'
import { namesTool } from '../control/scope.ts'
import { GatewayError } from '../errors.ts'
import { didYouMean } from '../lib/suggest.ts'
import type { Bundle } from '../bundle/types.ts'
import { hasReportsOf } from '../record/reports.ts'
import type { Db } from '../store/tx.ts'

/** How many agents, tools and upstreams a scope covers at the moment. */
export interface Coverage {
  readonly agents: number
  readonly tools: number
  readonly upstreams: number
}

/** What is judged like a tool and stands in no policy file. */
const PLAN = 'plan'
const AGENTS_SUGGESTED_FROM = 1_000

/**
 * The scope with the agent by its id, which a renaming does not change, and what it covers, of all policies that decide.
 * @throws GatewayError `no_such_scope` when that is nothing: a switch that stops nothing must not look thrown
 */
export async function resolveScope(
  db: Db,
  bundles: readonly Bundle[],
  scope: KillScope,
): Promise<{ scope: KillScope; covers: Coverage }> {
  const agent = scope.agent === null ? null : await agentId(db, scope.agent)
  const names = await toolNames(db, bundles, scope.tool)
  const named = names.filter((name) => namesTool(scope.tool ?? '', name))
  const placesOf = (name: string) => placesIn(bundles, name)
  const tools = named.filter(
    (name) => scope.upstream === null || placesOf(name).includes(scope.upstream),
  )
  const upstreams = [...new Set(bundles.flatMap((bundle) => [...bundle.upstreams.keys()]))]
  if (scope.upstream !== null && !upstreams.includes(scope.upstream)) {
    throw nothing('upstream', scope.upstream, upstreams)
  }
  if (named.length === 0) throw nothing('tool', scope.tool ?? '', asWritten(scope.tool, names))
  if (tools.length === 0) throw elsewhere(scope, new Set(named.flatMap(placesOf)))
  return {
    scope: { ...scope, agent },
    covers: {
      agents: agent === null ? await countAgents(db) : 1,
      tools: tools.length,
      upstreams: new Set(tools.flatMap(placesOf)).size,
    },
  }
}

// Two policies may send one tool to two upstreams; one that is in none goes to none.
function placesIn(bundles: readonly Bundle[], name: string): readonly string[] {
  const places = bundles.flatMap(({ tools }) => tools.get(name)?.upstream ?? [])
  return places.length === 0 ? [''] : [...new Set(places)]
}

async function agentId(db: Db, idOrName: string): Promise<string> {
  const agent = await findAgent(db, idOrName)
  if (agent) return agent.id
  throw nothing('agent', idOrName, await newestNames(db, AGENTS_SUGGESTED_FROM))
}

/**
 * The agent of a switch that is to be released, by its id: as it is called today, or as its switch is shown, which of one that
 * is gone is the name that it had.
 */
export async function engagedAgent(
  db: Db,
  engaged: readonly { readonly agent: string }[],
  idOrName: string | null,
): Promise<string | null> {
  if (idOrName === null) return null
  const ids = new Set(engaged.map(({ agent }) => agent))
  const found = await findAgent(db, idOrName)
  if (found && ids.has(found.id)) return found.id
  const names = await agentNames(
    db,
    [...ids].filter((id) => id !== ''),
  )
  const [shown] = [...names].find(([, name]) => name === idOrName) ?? []
  return shown ?? found?.id ?? idOrName
}

// Actions that others carry out are stopped where they ask; those that agents only report by their type, which no
// policy declares.
async function toolNames(
  db: Db,
  bundles: readonly Bundle[],
  asked: string | null,
): Promise<string[]> {
  const declared = bundles.flatMap(({ tools, decisionApi }) => [
    ...tools.keys(),
    ...(asked === null ? [] : decisionApi.actions.keys()),
  ])
  const names = [...new Set([...declared, PLAN])]
  if (asked === null || names.some((name) => namesTool(asked, name))) return names
  return (await hasReportsOf(db, asked)) ? [...names, asked] : names
}

// Whoever mistyped a glob meant one.
function asWritten(asked: string | null, names: readonly string[]): readonly string[] {
  if (!asked?.includes('*')) return names
  const prefixes = names.flatMap((name) => {
    const parts = name.split('.')
    return parts.slice(1).map((_, at) => `${parts.slice(0, at + 1).join('.')}.*`)
  })
  return [...new Set(prefixes)]
}

function elsewhere({ tool, upstream }: KillScope, upstreams: ReadonlySet<string>): GatewayError {
  const places = [...upstreams].filter((name) => name !== '').map((name) => `\`${name}\``)
  const where = places.length > 0 ? `goes to ${places.join(', ')}` : 'goes to no upstream'
  const what = tool === null ? 'any tool' : `\`${tool.slice(0, 128)}\``
  const message = `the scope stops nothing: ${what} ${where}, not to \`${upstream}\``
  return new GatewayError('no_such_scope', message)
}

function nothing(what: string, name: string, known: readonly string[]): GatewayError {
  const hint = didYouMean(name, known)
  const message = `the scope stops nothing: there is no ${what} \`${name.slice(0, 128)}\``
  return new GatewayError('no_such_scope', hint ? `${message}; ${hint}` : message)
}
