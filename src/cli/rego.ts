import fs from 'node:fs'
import {
  compile,
  eval as evaluate,
  type Diagnostic,
  format,
  migrate,
  parse,
  renderDiagnostic,
  renderExpressions,
} from '../rego/index.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import {
  type PolicyDirectories,
  readJson,
  readModules,
  readRegoFiles,
  regoFailure,
} from './rego-files.ts'
import { tarGz } from '../lib/tar-writer.ts'

interface Common {
  readonly json?: boolean
  readonly strict?: boolean
  readonly v0?: boolean
}

const dialect = ({ v0 = false }: Common) => ({ v0 })

/** `portcullis rego check`: everything that is wrong with the modules; exits 3 when anything is, not for warnings. */
export async function regoCheck(paths: readonly string[], options: Common): Promise<void> {
  const modules = readModules(paths)
  const strict = options.strict ?? false
  const result = compile({ modules, entrypoints: [], strict, ...dialect(options) })
  if (!result.ok) throw regoFailure(result.diagnostics, modules, options.json ?? false)
  const { warnings } = result
  if (options.json) return print(JSON.stringify({ diagnostics: [], warnings }, null, 2))
  for (const one of warnings) {
    say(visible(`warning: ${renderDiagnostic(one, modules[one.location.file])}\n`))
  }
  const also = warnings.length > 0 ? `, ${warnings.length} warnings` : ''
  say(`${Object.keys(modules).length} modules, no errors${also}`)
}

/** `portcullis rego eval`: the solutions of a query, as JSON; what explains them goes to standard error. */
export async function regoEval(
  query: string,
  options: Common & {
    readonly data?: string[]
    readonly input?: string
    readonly explain?: boolean
  },
  policies?: PolicyDirectories,
): Promise<void> {
  const { modules, data } = await readRegoFiles(options.data ?? [], policies)
  const result = evaluate({
    query,
    modules,
    data,
    ...(options.input ? { input: readJson(options.input) } : {}),
    explain: options.explain ?? false,
    ...dialect(options),
  })
  if (!result.ok) {
    const sources = { ...modules, query }
    throw regoFailure(result.diagnostics, sources, options.json ?? false)
  }
  const { solutions, expressions = [] } = result
  if (options.explain && options.json) print(JSON.stringify({ solutions, expressions }, null, 2))
  else print(JSON.stringify(solutions, null, 2))
  if (options.explain && !options.json) say(renderExpressions(expressions))
}

/** `portcullis rego parse`: the syntax tree of one file, as JSON. */
export async function regoParse(file: string, options: Common): Promise<void> {
  const modules = readModules([file])
  const source = modules[file]
  if (source === undefined) throw new CliError(EXIT.usage, `${file} is not a .rego file`)
  const result = parse(source, { file, ...dialect(options) })
  if (!result.ok) throw regoFailure(result.diagnostics, modules, options.json ?? false)
  print(JSON.stringify(result.module, null, 2))
}

/** `portcullis rego fmt`: writes the files in their one layout; with --list only names those that differ. */
export async function regoFmt(
  paths: readonly string[],
  options: Common & { readonly list?: boolean },
): Promise<void> {
  const modules = readModules(paths)
  const changed: string[] = []
  for (const [file, source] of Object.entries(modules)) {
    const result = format(source, { file, ...dialect(options) })
    if (!result.ok) throw regoFailure(result.diagnostics, modules, options.json ?? false)
    if (result.text === source) continue
    changed.push(file)
    if (!options.list) fs.writeFileSync(file, result.text)
  }
  for (const file of changed) print(file)
  if (options.list && changed.length > 0)
    throw new CliError(EXIT.finding, `${changed.length} differ`)
}

/**
 * `portcullis rego migrate`: rewrites files of the old dialect in the new one; with --list only names them. Exits 3 when
 * something is left to be done by hand.
 */
export async function regoMigrate(
  paths: readonly string[],
  options: { readonly list?: boolean; readonly json?: boolean },
): Promise<void> {
  const modules = readModules(paths)
  const migrated: Record<string, string> = {}
  const left: Diagnostic[] = []
  for (const [file, source] of Object.entries(modules)) {
    const result = migrate(source, { file })
    if (!result.ok) left.push(...result.diagnostics)
    migrated[file] = result.ok ? result.text : source
    if (!result.ok || result.text === source) continue
    if (!options.list) fs.writeFileSync(file, result.text)
    print(file)
  }
  // What parses may still use what the new dialect has not.
  const checked = left.length > 0 ? undefined : compile({ modules: migrated, entrypoints: [] })
  const found = checked && !checked.ok ? checked.diagnostics : left
  if (found.length > 0) throw regoFailure(found, migrated, options.json ?? false)
}

/** `portcullis rego build`: a bundle that this gate, OPA and the npm SDK load. */
export async function regoBuild(
  paths: readonly string[],
  options: Common & { readonly entrypoint: string[]; readonly out: string },
  policies?: PolicyDirectories,
): Promise<void> {
  const { modules, data } = await readRegoFiles(paths, policies)
  const built = Object.fromEntries(
    Object.entries(modules).filter(([name]) => !name.endsWith('_test.rego')),
  )
  const { entrypoint: entrypoints } = options
  const result = compile({ modules: built, entrypoints, ...dialect(options) })
  if (!result.ok) throw regoFailure(result.diagnostics, modules, options.json ?? false)
  const manifest = {
    revision: '',
    roots: [''],
    wasm: entrypoints.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' })),
  }
  const bundle = tarGz([
    ['/data.json', JSON.stringify(data)],
    ['/policy.wasm', result.wasm],
    ['/.manifest', JSON.stringify(manifest)],
  ])
  fs.writeFileSync(options.out, bundle)
  say(`wrote ${options.out}: ${bundle.length} bytes, ${entrypoints.join(', ')}`)
}
