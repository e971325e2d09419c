// What rules are told about their own METADATA: `rego.metadata.rule()` and `rego.metadata.chain()` are constants of the
// rule that asks. What belongs to what is found once, when a rule first asks.
import type { Annotations, Module, Rule } from '../ast/ast.ts'

interface Link {
  readonly path: readonly string[]
  readonly annotations?: Record<string, unknown>
}

/** Annotations by a row, or by the path of a rule. */
type Grouped<K> = Map<K, Annotations[]>

export class Metadata {
  readonly #modules: readonly Module[]
  #packages: Map<string, Module[]> | undefined
  readonly #rows = new Map<Module, Grouped<number>>()
  readonly #documents = new Map<string, Grouped<string>>()

  constructor(modules: readonly Module[]) {
    this.#modules = modules
  }

  rule(rule: Rule, module: Module): unknown {
    const [first] = this.#ofScope(rule, module, 'rule')
    return first ? plain(first) : {}
  }

  /** From the rule outwards: its own, its document's, its package's, and those of packages above. */
  chain(rule: Rule, module: Module): Link[] {
    const path = pathOf(rule, module)
    const pkg = module.package.path
    const [first] = this.#ofScope(rule, module, 'rule')
    const links: Link[] = [first ? { path, annotations: plain(first) } : { path }]
    for (const one of this.#documentsOf(pkg).get(path.join('.')) ?? []) {
      links.push({ path, annotations: plain(one) })
    }
    links.push(...this.#ofPackage(pkg, 'package'))
    for (let n = pkg.length; n > 0; n--) {
      links.push(...this.#ofPackage(pkg.slice(0, n), 'subpackages'))
    }
    return links
  }

  #ofPackage(path: readonly string[], wanted: Annotations['scope']): Link[] {
    return this.#modulesOf(path).flatMap(({ annotations }) =>
      annotations
        .filter(({ scope }) => scope === wanted)
        .map((one) => ({ path, annotations: plain(one) })),
    )
  }

  #modulesOf(path: readonly string[]): readonly Module[] {
    if (!this.#packages) {
      this.#packages = new Map()
      for (const module of this.#modules) add(this.#packages, keyOf(module.package.path), module)
    }
    return this.#packages.get(keyOf(path)) ?? []
  }

  /** Of the whole document of each rule in a package, wherever it was written. */
  #documentsOf(path: readonly string[]): Grouped<string> {
    const key = keyOf(path)
    let found = this.#documents.get(key)
    if (!found) {
      found = new Map()
      for (const module of this.#modulesOf(path)) {
        for (const rule of module.annotations.length > 0 ? module.rules : []) {
          for (const one of this.#ofScope(rule, module, 'document')) {
            add(found, pathOf(rule, module).join('.'), one)
          }
        }
      }
      this.#documents.set(key, found)
    }
    return found
  }

  /** A block belongs to the first rule that begins below it. */
  #ofScope(rule: Rule, module: Module, wanted: Annotations['scope']): readonly Annotations[] {
    let rows = this.#rows.get(module)
    if (!rows) {
      rows = new Map()
      const begins = module.rules.map(({ loc }) => loc.row).sort((a, b) => a - b)
      for (const one of module.annotations) {
        const row = begins.find((own) => own > one.loc.row)
        if (row !== undefined) add(rows, row, one)
      }
      this.#rows.set(module, rows)
    }
    return (rows.get(rule.loc.row) ?? []).filter(({ scope }) => scope === wanted)
  }
}

function keyOf(path: readonly string[]): string {
  return path.join('.')
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key)
  if (values) values.push(value)
  else map.set(key, [value])
}

function pathOf(rule: Rule, module: Module): string[] {
  const names = rule.head.ref.map((t) =>
    t.kind === 'string' ? t.value : t.kind === 'var' ? t.name : '',
  )
  return ['data', ...module.package.path, ...names].slice(1)
}

/** Annotations as the document a policy sees. */
export function plain(a: Annotations): Record<string, unknown> {
  const { title, description, organizations, authors, custom, entrypoint, scope } = a
  return {
    scope,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(organizations ? { organizations } : {}),
    ...(authors
      ? { authors: authors.map(({ name, email }) => ({ name, ...(email ? { email } : {}) })) }
      : {}),
    ...(a.relatedResources ? { related_resources: a.relatedResources } : {}),
    ...(a.schemas ? { schemas: a.schemas } : {}),
    ...(entrypoint ? { entrypoint } : {}),
    ...(custom && Object.keys(custom).length > 0 ? { custom } : {}),
    ...(a.labels && Object.keys(a.labels).length > 0 ? { labels: a.labels } : {}),
  }
}
