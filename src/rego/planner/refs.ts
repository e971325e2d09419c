// References: into `input` and values term by term, into `data` along the tree of rules as far as it goes.
import type { RefTerm, Term } from '../ast/ast.ts'
import type { Operand } from '../ir/ir.ts'
import { mergeBlock, nodeValue, visibleChildren } from './documents.ts'
import { DATA, type Frame, INPUT, pathTerms, planTerm, type WithValue } from './frame.ts'
import { fail, isOpen } from './open.ts'
import { longestKnown, stepKey } from './shared.ts'
import { constantOf } from './statics.ts'
import { dot, scan } from './steps.ts'
import { hasContent, isDynamic, isFunction, type RuleNode } from '../ast/tree.ts'
import { unifyValue } from './unify.ts'

export function planRef(f: Frame, ref: RefTerm, next: WithValue): void {
  const [head, ...rest] = ref.terms
  if (head.kind === 'var' && head.name === 'input') {
    if (rest.length === 0) {
      f.emit({ type: 'IsDefinedStmt', source: INPUT })
      if (f.withDepth === 0) return next({ type: 'local', value: INPUT })
      // The place of the input gets its old value back; what was bound to this one keeps it.
      const target = f.local()
      f.emit({ type: 'AssignVarStmt', source: { type: 'local', value: INPUT }, target })
      return next({ type: 'local', value: target })
    }
    return tail(f, { type: 'local', value: INPUT }, rest, 0, 'input', false, next)
  }
  if (head.kind === 'var' && head.name === 'data')
    return dataRef(f, f.planner.input.tree, rest, 0, next)
  planTerm(f, head, (value) => tail(f, value, rest, 0, undefined, false, next))
}

/** Follows terms from a value; `path` names a document whose constant paths are read once. */
function tail(
  f: Frame,
  value: Operand,
  terms: readonly Term[],
  i: number,
  path: string | undefined,
  base: boolean,
  next: WithValue,
): void {
  const term = terms[i]
  if (!term) return next(value)
  const known = path === undefined ? undefined : longestKnown(f, path, terms, i)
  if (known) return tail(f, known.value, terms, known.next, known.key, base, next)
  const deeper = path === undefined ? undefined : stepKey(path, term)
  const found = (element: Operand) => {
    if (deeper !== undefined) f.vars.set(deeper, element)
    tail(f, element, terms, i + 1, deeper, base, next)
  }
  const key = f.constant(term)
  if (key) return found(dot(f, value, key, base))
  if (!isOpen(f, term)) return planTerm(f, term, (operand) => found(dot(f, value, operand, base)))
  const wild = term.kind === 'var' && term.name.startsWith('$')
  scan(f, f.toLocal(value), !wild, true, (scanned, element) => {
    const rest = () => tail(f, element as Operand, terms, i + 1, undefined, base, next)
    if (!scanned || wild) return rest()
    unifyValue(f, scanned, term, rest)
  })
}

/** Follows terms from a node of the rule tree. */
export function dataRef(
  f: Frame,
  node: RuleNode,
  terms: readonly Term[],
  i: number,
  next: WithValue,
): void {
  if (f.shadowed(node.path)) return baseRef(f, node.path, terms, i, next)
  if (node.rules.length > 0 && !isFunction(node)) {
    const path = `data\u0000rule\u0000${node.path.join('\u0000')}`
    const known = f.vars.get(path)
    const value = known ?? nodeValue(f, node, true)
    f.vars.set(path, value)
    if (isDynamic(node)) return keyedRef(f, value, terms, i, path, next)
    return tail(f, value, terms, i, path, false, next)
  }
  const term = terms[i]
  if (!term) {
    if (hasContent(node) || node.path.length === 0) {
      if (isFunction(node) && node.children.size === 0) return fail(f)
      return next(nodeValue(f, node))
    }
    return baseRef(f, node.path, terms, i, next)
  }
  if (term.kind === 'string') {
    const child = node.children.get(term.value)
    if (child && hasContent(child)) return dataRef(f, child, terms, i + 1, next)
    return baseRef(f, [...node.path, term.value], terms, i + 1, next)
  }
  if (constantOf(term)) return baseRef(f, node.path, terms, i, next)
  // A key that is not known: an object of what each child has behind it, over the base document.
  tail(
    f,
    childrenOf(f, node, terms.slice(i + 1)),
    [term, ...terms.slice(i + 1)],
    0,
    undefined,
    true,
    next,
  )
}

/** Into an object of rules with open keys: only the key that is asked for must have one value, or all of them. */
function keyedRef(
  f: Frame,
  value: Operand,
  terms: readonly Term[],
  i: number,
  path: string,
  next: WithValue,
): void {
  const term = terms[i]
  const settled = (element: Operand): Operand => {
    f.emit({ type: 'IsSettledStmt', source: f.toLocal(element) })
    return element
  }
  if (!term || isOpen(f, term)) return tail(f, settled(value), terms, i, path, false, next)
  tail(f, value, terms.slice(0, i + 1), i, path, false, (element) =>
    tail(f, settled(element), terms, i + 1, stepKey(path, term), false, next),
  )
}

function baseRef(
  f: Frame,
  path: readonly string[],
  terms: readonly Term[],
  i: number,
  next: WithValue,
): void {
  tail(
    f,
    { type: 'local', value: DATA },
    [...pathTerms(path), ...terms.slice(i)],
    0,
    'data',
    true,
    next,
  )
}

/** An object with the children of a node, each cut down to the constant path that is asked of it. */
function childrenOf(f: Frame, node: RuleNode, rest: readonly Term[]): Operand {
  const names = constantStart(rest)
  const virtual = f.local()
  const result = f.local()
  f.emit({ type: 'MakeObjectStmt', target: virtual })
  for (const [key, child] of visibleChildren(node)) {
    const block = f.block(() =>
      dataRef(f, child, pathTerms(names), 0, (found) => {
        // Rebuild the path around the value, as the rest of the reference expects it.
        const value = names.reduceRight((inner, name) => wrap(f, name, inner), found)
        f.emit({ type: 'ObjectInsertStmt', key: f.string(key), value, object: virtual })
      }),
    )
    f.emit({ type: 'BlockStmt', blocks: [block] })
  }
  f.assign({ type: 'local', value: virtual }, result)
  f.emit({ type: 'BlockStmt', blocks: [mergeBlock(f, node, virtual, result)] })
  return { type: 'local', value: result }
}

function constantStart(terms: readonly Term[]): string[] {
  const names: string[] = []
  for (const term of terms) {
    if (term.kind !== 'string') break
    names.push(term.value)
  }
  return names
}

function wrap(f: Frame, name: string, value: Operand): Operand {
  const object = f.local()
  f.emit({ type: 'MakeObjectStmt', target: object })
  f.emit({ type: 'ObjectInsertStmt', key: f.string(name), value, object })
  return { type: 'local', value: object }
}
