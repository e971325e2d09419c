import type { Comment, Module } from '../ast/ast.ts'

/** What says where or how something was written, not what it is. */
const MANNER: ReadonlySet<string> = new Set([
  'loc',
  'lastUse',
  'raw',
  'parens',
  'infix',
  'assign',
  'generated',
  'generatedValue',
  'generatedBody',
  'hasIf',
  'chained',
  'multiLine',
])

/** Whether two modules say the same and have the same comments. */
export function sameMeaning(a: Module, b: Module): boolean {
  return meaning(a) === meaning(b) && comments(a) === comments(b)
}

function meaning({ package: { path }, imports, rules }: Module): string {
  // Words of the language are imported where they have to be; the order of imports means nothing.
  const others = imports.filter(({ path: { terms } }) => {
    const [root] = terms
    return root.kind !== 'var' || (root.name !== 'future' && root.name !== 'rego')
  })
  const paths = others.map((own) => text({ path: own.path, alias: own.alias })).sort()
  return text({ path, paths, rules: rules.map((rule) => ({ ...rule, kind: 'rule' })) })
}

/** Wildcards are numbered through a module, so that one more or less does not show. */
function text(node: unknown): string {
  return JSON.stringify(node, (key, value: unknown) => {
    if (MANNER.has(key)) return undefined
    if (key === 'name' && typeof value === 'string' && value.startsWith('$')) return '_'
    return value
  })
}

function comments({ comments: found }: Module): string {
  const texts = found.map(({ text: own }: Comment) => own.trim())
  return texts.sort().join('\n')
}
