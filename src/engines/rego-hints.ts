import {
  BUILTIN_NAMES,
  type Diagnostic as RegoDiagnostic,
  namesIn,
  type ParsedModule,
} from '../rego/index.ts'
import { didYouMean } from '../lib/suggest.ts'

const VARIABLE = /^var (\S+) is unsafe$/
const FUNCTION = /^undefined function (\S+)/

/** What an undefined variable or function was meant to be, most likely. */
export function nameHint(
  { message, location }: RegoDiagnostic,
  modules: readonly ParsedModule[],
): string | undefined {
  const own = modules.find(({ file }) => file === location.file)
  if (!own) return undefined
  const called = FUNCTION.exec(message)?.[1]
  if (called !== undefined) return didYouMean(called, functionNames(own, modules))
  const name = VARIABLE.exec(message)?.[1]
  if (name === undefined) return undefined
  return didYouMean(name, variableNames(own, modules, name))
}

const sameAs = (own: ParsedModule) => (one: ParsedModule) =>
  one.package.path.join('.') === own.package.path.join('.')

function functionNames(own: ParsedModule, modules: readonly ParsedModule[]): string[] {
  const local = modules.filter(sameAs(own)).flatMap(ruleNames)
  const others = modules.flatMap((one) =>
    ruleNames(one).map((name) => ['data', ...one.package.path, name].join('.')),
  )
  // A function of the package is named with its whole path, whatever the call said.
  const whole = local.map((name) => ['data', ...own.package.path, name].join('.'))
  return [...new Set([...local, ...whole, ...others, ...BUILTIN_NAMES])]
}

function variableNames(
  own: ParsedModule,
  modules: readonly ParsedModule[],
  except: string,
): string[] {
  const rules = modules.filter(sameAs(own)).flatMap(ruleNames)
  const names = new Set([...rules, ...namesIn(own), 'input', 'data'])
  names.delete(except)
  return [...names]
}

const ruleNames = ({ rules }: ParsedModule): string[] => rules.map(({ head }) => head.ref[0].name)
