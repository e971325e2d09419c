import type { Comment, Module, RefTerm } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'
import { symbolOf } from './operators.ts'

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
  'hasContains',
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
  return text({ path, paths, rules })
}

/** Wildcards are numbered through a module, so that one more or less does not show. */
function text(node: unknown): string {
  return JSON.stringify(plain(node))
}

type Fields = Readonly<Record<string, unknown>>

function plain(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(plain)
  if (typeof node !== 'object' || node === null) return node
  const fields = node as Fields
  const inner = scopeOfOne(fields)
  if (inner !== undefined) return plain(inner)
  if (isUnifiedOperator(fields)) return plain(unified(fields))
  if (fields.kind === 'body' && fields.logical === 'and') {
    return { kind: 'and', body: conjuncts(fields.body as Fields[]).map(plain) }
  }
  if (fields.kind === 'template') return { kind: 'template', parts: templateParts(fields) }
  const found: Record<string, unknown> = {}
  for (const key of Object.keys(fields).sort()) {
    const value = fields[key]
    if (MANNER.has(key) || value === undefined) continue
    const isWildcard = key === 'name' && typeof value === 'string' && value.startsWith('$')
    found[key] = isWildcard ? '_' : plain(value)
  }
  return found
}

/** What stands in parentheses or braces by itself; a `with` behind them belongs to it. */
function scopeOfOne({ kind, node, negated, with: outer }: Fields): unknown {
  if (kind !== 'expr' || negated === true) return undefined
  const { kind: what, body, logical } = node as Fields
  if (what !== 'body' || logical !== undefined || !Array.isArray(body)) return undefined
  const [inner, more] = body as Fields[]
  if (!inner || more) return undefined
  const modifiers = [...(inner.with as unknown[]), ...(outer as unknown[])]
  return { ...inner, with: modifiers }
}

/** `(a and b) and c` is `a and b and c`. */
function conjuncts(body: readonly Fields[]): readonly Fields[] {
  return body.flatMap((expr) => {
    const inner = (scopeOfOne(expr) ?? expr) as Fields
    const { kind, logical, body: own } = inner.node as Fields
    const joins = kind === 'body' && logical === 'and' && (inner.with as unknown[]).length === 0
    return joins ? conjuncts(own as Fields[]) : [inner]
  })
}

/** `plus(a, b, c)` is `c = a + b`. */
function unified({ operator, args }: Fields): unknown {
  const [a, b, result] = args as Fields[]
  const eq = { kind: 'ref', terms: [{ kind: 'var', name: 'eq' }] }
  return { kind: 'call', operator: eq, args: [result, { kind: 'call', operator, args: [a, b] }] }
}

function isUnifiedOperator({ kind, operator, args }: Fields): boolean {
  if (kind !== 'call' || (args as unknown[]).length !== 3) return false
  return symbolOf(operatorName(operator as RefTerm) ?? '') !== undefined
}

/** Literals between braces are text like the text around them. */
function templateParts({ parts }: Fields): unknown[] {
  const found: unknown[] = []
  for (const part of parts as Fields[]) {
    const own = part.kind === 'expr' ? undefined : literalText(part)
    const last = found.at(-1)
    if (own === undefined) found.push(plain(part))
    else if (typeof last === 'string') found[found.length - 1] = last + own
    else found.push(own)
  }
  return found
}

function literalText({ kind, value = kind, text: digits = value }: Fields): string {
  return typeof digits === 'string' ? digits : JSON.stringify(digits)
}

function comments({ comments: found }: Module): string {
  const texts = found.map(({ text: own }: Comment) => own.trim())
  return texts.sort().join('\n')
}
