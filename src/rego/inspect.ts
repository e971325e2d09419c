import { plain } from './checker/metadata.ts'
import type { Diagnostic, SourceLocation } from './diagnostics.ts'
import { parseModule } from './parser/parse.ts'

export interface AnnotationEntry {
  /** Path below `data` of what the annotations belong to. */
  readonly path: readonly string[]
  readonly annotations: Readonly<Record<string, unknown>>
  readonly location: SourceLocation
}
export interface PackageEntry {
  readonly file: string
  readonly package: readonly string[]
  readonly imports: readonly string[]
  readonly rules: readonly string[]
}
export interface Inspection {
  readonly packages: readonly PackageEntry[]
  readonly annotations: readonly AnnotationEntry[]
  readonly diagnostics: readonly Diagnostic[]
}

/** What modules consist of, and their METADATA annotations. */
export function inspect(
  modules: Readonly<Record<string, string>>,
  options: { readonly v0?: boolean } = {},
): Inspection {
  const packages: PackageEntry[] = []
  const annotations: AnnotationEntry[] = []
  const diagnostics: Diagnostic[] = []
  for (const [file, source] of Object.entries(modules)) {
    const parsed = parseModule(file, source, { v0: options.v0 ?? false })
    diagnostics.push(...parsed.diagnostics)
    const { module } = parsed
    if (!module) continue
    const nameOf = (rule: (typeof module.rules)[number]) =>
      rule.head.ref.map((t) => (t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : '*'))
    packages.push({
      file,
      package: module.package.path,
      imports: module.imports.map(({ path, alias }) => {
        const name = path.terms
          .map((t) => (t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : ''))
          .join('.')
        return alias === undefined ? name : `${name} as ${alias}`
      }),
      rules: [...new Set(module.rules.map((rule) => nameOf(rule).join('.')))],
    })
    for (const a of module.annotations) {
      const next = module.rules
        .filter((r) => r.loc.row > a.loc.row)
        .sort((x, y) => x.loc.row - y.loc.row)[0]
      const inRule = a.scope === 'rule' || a.scope === 'document'
      const path = inRule && next ? [...module.package.path, ...nameOf(next)] : module.package.path
      annotations.push({ path, annotations: plain(a), location: a.loc })
    }
  }
  return { packages, annotations, diagnostics }
}
