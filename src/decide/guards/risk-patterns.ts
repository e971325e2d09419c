import type { Regex } from '../../bundle/regex.ts'
import type { CompileContext, GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { effectOf, reasonOf, says, silent } from '../answers.ts'
import { RISK_SETS, type RiskSet } from '../risk-sets.ts'
import { ScanText, visible } from '../scan-text.ts'

interface Config {
  readonly sets?: readonly RiskSet[]
  readonly patterns?: readonly {
    readonly name: string
    readonly pattern: string
    readonly ignore_case?: boolean
  }[]
  readonly scan?: readonly ('reason' | 'context' | 'args')[]
  readonly skip_args?: readonly string[]
  readonly length_max?: number
}

interface Named {
  readonly name: string
  readonly regex: Regex
}

const LENGTH_MAX = 65_536

/** Text that must not occur in the reason, the context or any string of the args. */
export const riskPatterns: GuardKind = { kind: 'risk_patterns', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const config = spec.config as unknown as Config
  const named = compileAll(config, context)
  const any = screen(named, context)
  const collect = collector(config, context)
  const effect = effectOf(spec)
  const reason = (name: string) =>
    reasonOf(spec, effect, `risky_${name}`, `text looks like ${name}`, 'risky_content')
  const reasons = new Map(named.map(({ name }) => [name, reason(name)]))
  const long = reasonOf(spec, effect, 'risky_length', 'more text than is scanned', 'risky_content')
  const clean = new CleanKeys()
  return (input: GuardInput) => {
    const text = collect(input)
    if (text.overflowed) return says([long], { length: text.length })
    const hits = new Set<string>()
    for (const one of text.strings) for (const name of matches(one, any, named)) hits.add(name)
    for (const key of text.keys) {
      if (clean.has(key)) continue
      const found = matches(key, any, named)
      for (const name of found) hits.add(name)
      if (found.length === 0) clean.add(key)
    }
    if (hits.size === 0) return silent({ length: text.length })
    const found = [...hits].flatMap((name) => reasons.get(name) ?? [])
    return says(found, { length: text.length, matched: [...hits] })
  }
}

const CLEAN_KEYS_MAX = 1000
const CLEAN_KEY_LENGTH_MAX = 64

/** Keys that are known to match nothing, so that the same few are not scanned for ever. */
class CleanKeys {
  readonly #known = new Set<string>()

  has(key: string): boolean {
    return this.#known.has(key)
  }

  add(key: string): void {
    if (this.#known.size < CLEAN_KEYS_MAX && key.length <= CLEAN_KEY_LENGTH_MAX)
      this.#known.add(key)
  }
}

function compileAll(config: Config, context: CompileContext): readonly Named[] {
  const sets = (config.sets ?? []).flatMap((name) =>
    RISK_SETS[name].map((source) => ({ name, regex: context.regex(source, ['sets']) })),
  )
  const own = (config.patterns ?? []).map(({ name, pattern, ignore_case: ignoreCase }, index) => ({
    name,
    regex: context.regex(pattern, ['patterns', index, 'pattern'], ignoreCase ?? false),
  }))
  return [...sets, ...own].filter((one): one is Named => one.regex !== undefined)
}

// Nearly all text matches nothing, and one pass for all patterns says so. Patterns that cannot be
// joined are asked one by one.
function screen(named: readonly Named[], context: CompileContext): Regex | undefined {
  if (named.length < 2) return undefined
  return context.join(named.map(({ regex }) => regex.source))
}

function matches(text: string, any: Regex | undefined, named: readonly Named[]): string[] {
  const seen = visible(text)
  if (seen === text) return matchesAsIs(text, any, named)
  return [...matchesAsIs(text, any, named), ...matchesAsIs(seen, any, named)]
}

function matchesAsIs(text: string, any: Regex | undefined, named: readonly Named[]): string[] {
  if (any && !any.test(text)) return []
  return named.filter(({ regex }) => regex.test(text)).map(({ name }) => name)
}

function collector(config: Config, context: CompileContext): (input: GuardInput) => ScanText {
  const scan = new Set(config.scan ?? ['reason', 'context', 'args'])
  const max = config.length_max ?? LENGTH_MAX
  for (const [index, pointer] of (config.skip_args ?? []).entries()) {
    context.argPointer(pointer, ['skip_args', index])
  }
  const skip = (config.skip_args ?? []).map((pointer) => pointer.split('/').slice(1).map(unescape))
  return ({ request }) => {
    const text = new ScanText(max)
    if (scan.has('reason') && request.reason !== null) text.add(request.reason)
    if (scan.has('context')) text.add(request.context)
    if (scan.has('args')) {
      text.add(request.action.properties, skip)
      // A file is text where it is no longer than a text may be; else its name and digest are in the args.
      for (const file of request.fileTexts?.values() ?? []) {
        if (file.length <= max) text.add(file)
      }
    }
    if (scan.has('context') && request.headers) text.add(request.headers)
    return text
  }
}

const unescape = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~')
