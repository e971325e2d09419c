// References: into `input` and values term by term, into `data` along the tree of rules as far as it goes.
import type { RefTerm, Term } from '../ast/ast.ts'
import type { Local, Operand } from '../ir/ir.ts'
import { childrenOf, nodeValue } from './documents.ts'
import { DATA, type Frame, INPUT, pathTerms, type WithValue } from './frame.ts'
import { longestKnown, stepKey } from './shared.ts'
import { constantOf } from './statics.ts'
import { planTerm } from './terms.ts'
import { hasContent, isDynamic, isFunction, type RuleNode } from './tree.ts'
import { fail, isOpen, unifyValue } from './unify.ts'

export function dot(f: Frame, source: Operand, key: Operand, base = false): Operand {
  const target = f.local()
  f.emit({ type: 'DotStmt', source, key, target, ...(base ? { base } : {}) })
  return { type: 'local', value: target }
}

export function scan(
  f: Frame,
  source: Local,
  withKey: boolean,
  withValue: boolean,
  each: (key: Operand | undefined, value: Operand | undefined) => void,
): void {
  const key = withKey ? f.local() : -1
  const value = withValue ? f.local() : -1
  const block = f.block(() =>
    each(
      withKey ? { type: 'local', value: key } : undefined,
      withValue ? { type: 'local', value } : undefined,
    ),
  )
  f.emit({ type: 'ScanStmt', source, key, value, block, ordered: f.ordered })
}

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
