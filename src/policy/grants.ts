import type { Effect, Mode } from '../model/decision.ts'
import { type Findings, wholeFile } from '../sources/diagnostics.ts'
import type { PlacedGuard } from './guards.ts'
import type { Bundle, PolicyModule } from '../bundle/types.ts'

// An action needs a grant: an `allow`, or a permission row whose effect is `require_approval`. What any
// other guard or a module says only tightens, and a tool that nothing grants is denied whatever they say.
// Earlier versions took a guard's `require_approval` for a grant, so whoever relied on that is told.

const NAMED_MAX = 5

/** Warns of each guard and module that holds tools for approval which nothing grants to anybody it is for. */
export function warnOfUngranted(
  placed: readonly PlacedGuard[],
  tools: Bundle['tools'],
  modules: readonly PolicyModule[],
  found: Findings,
): void {
  if (modules.some(({ entrypoints }) => mayAnswer(entrypoints, 'allow'))) return
  const grants = placed.filter(({ guard }) => guard.grants && isEnforced(guard))
  const ungranted = (names: Iterable<string>, roles: ReadonlySet<string>) =>
    [...names].filter((tool) => !grants.some((one) => reaches(one, tool, roles)))
  for (const { guard, tools: named } of placed) {
    if (!guard.mayHold || guard.grants || !isEnforced(guard)) continue
    const names = named === null ? tools.keys() : named.map(({ name }) => name)
    warn(found, guard.location, `guard \`${guard.id}\``, ungranted(names, guard.roles), guard.roles)
  }
  for (const { name, entrypoints } of modules) {
    if (!mayAnswer(entrypoints, 'require_approval')) continue
    warn(found, wholeFile(name), `\`${name}\``, ungranted(tools.keys(), NO_ROLES), NO_ROLES)
  }
}

const NO_ROLES: ReadonlySet<string> = new Set()

const isEnforced = ({ mode }: { readonly mode: Mode }): boolean => mode === 'enforce'

function mayAnswer(entrypoints: readonly string[], rule: Effect): boolean {
  return entrypoints.includes('agent') || entrypoints.includes(`agent/${rule}`)
}

function reaches({ guard, tools }: PlacedGuard, name: string, roles: ReadonlySet<string>): boolean {
  const isForTool = tools === null || tools.some((tool) => tool.name === name)
  const isForRole = roles.size === 0 || [...roles].some((role) => guard.roles.has(role))
  return isForTool && (isForRole || guard.roles.size === 0)
}

function warn(
  found: Findings,
  place: Parameters<Findings['warn']>[0],
  source: string,
  tools: readonly string[],
  roles: ReadonlySet<string>,
): void {
  if (tools.length === 0) return
  const named = tools.slice(0, NAMED_MAX).join(', ')
  const more = tools.length > NAMED_MAX ? ` and ${tools.length - NAMED_MAX} more` : ''
  const message = `${source} asks for approval of ${named}${more}, which no rule grants: denied, not held`
  const who = roles.size === 0 ? 'ROLE' : [...roles].join(', ')
  const row = `- { roles: [${who}], tools: [${named}], effect: require_approval }`
  found.warn(place, 'approval_without_grant', message, `add under permissions: ${row}`)
}
