import type { Json } from '../../model/json.ts'
import type { CompileContext, GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { effectOf, reasonOf, says, shorten, silent } from '../answers.ts'
import { readersByTool, valuesAt } from '../recipients.ts'

interface Config {
  readonly allowed_dirs: readonly string[]
  readonly deny_globs?: readonly string[]
  readonly allow_absolute?: boolean
  readonly paths?: readonly string[]
}

/** Path-valued args must lie in allowed directories and match no deny glob. */
export const pathWhitelist: GuardKind = { kind: 'path_whitelist', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const config = spec.config as unknown as Config
  const check = context.pathRules({
    allowedDirs: config.allowed_dirs,
    denyGlobs: config.deny_globs ?? [],
    allowAbsolute: config.allow_absolute ?? false,
  })
  const readers = pathReaders(spec, config, context)
  const effect = effectOf(spec)
  const judge = (value: Json) => {
    if (!check) throw new Error('no path rules')
    const problem = typeof value === 'string' ? check(value) : NOT_TEXT
    return problem && reasonOf(spec, effect, problem.code, problem.message)
  }
  return ({ request }: GuardInput) => {
    const paths = valuesAt(readers.get(request.action.name) ?? [], request.action.properties)
    const reason = paths.map(judge).find((one) => one !== undefined)
    const observed = { paths: paths.slice(0, 5).map(shownPath) }
    return reason ? says([reason], observed) : silent(observed)
  }
}

const NOT_TEXT = { code: 'path_malformed', message: 'path is not text' } as const

const shownPath = (value: Json): string =>
  typeof value === 'string' ? shorten(value) : '(not text)'

function pathReaders(spec: GuardSpec, config: Config, context: CompileContext) {
  const own = config.paths ?? []
  for (const [index, pointer] of own.entries()) context.argPointer(pointer, ['paths', index])
  const pathless = context.subjectTools.find((tool) => tool.paths.length + own.length === 0)
  if (spec.tools !== null && pathless) {
    const message = `tool \`${pathless.name}\` declares no \`paths\`, so nothing would be checked`
    context.report(['tools'], 'nothing_to_check', message)
  }
  return readersByTool(context, (tool) => [...tool.paths, ...own])
}
