// Documents that rules and base data make together: virtual values over base ones.
import type { Term } from '../ast/ast.ts'
import type { Block, Func, Local, Operand } from '../ir/ir.ts'
import { DATA, type Frame, INPUT, pathTerms } from './frame.ts'
import { dataRef, dot } from './refs.ts'
import { hasContent, isDynamic, isFunction, type RuleNode } from './tree.ts'

/** The function of a node without rules of its own. */
export function planDocument(f: Frame, name: string, node: RuleNode): Func {
  const result = f.local()
  const virtual = f.local()
  const children = visibleChildren(node).filter(([, child]) => !f.shadowed(child.path))
  const blocks: Block[] = [
    { stmts: [{ type: 'MakeObjectStmt', target: virtual }] },
    ...children.map(([key, child]) =>
      f.block(() => {
        const value = nodeValue(f, child)
        f.emit({ type: 'ObjectInsertStmt', key: f.string(key), value, object: virtual })
      }),
    ),
    f.block(() => f.assign({ type: 'local', value: virtual }, result)),
    mergeBlock(f, node, virtual, result),
    { stmts: [{ type: 'ReturnLocalStmt', source: result }] },
  ]
  const path = ['d0', ...node.path]
  return { name, path, params: [INPUT, DATA], return: result, blocks, memo: true }
}

/** The whole value of a node of the tree; `raw` leaves it to the caller to ask whether keys had several values. */
export function nodeValue(f: Frame, node: RuleNode, raw = false): Operand {
  const target = f.local()
  const args: Operand[] = [
    { type: 'local', value: INPUT },
    { type: 'local', value: DATA },
  ]
  const isRule = node.rules.length > 0 && !isFunction(node)
  const func = isRule ? f.planner.rules(node, f.variant) : f.planner.document(node, f.variant)
  f.emit({ type: 'CallStmt', func, args, result: target })
  if (isRule && isDynamic(node) && !raw) f.emit({ type: 'IsSettledStmt', source: target })
  return { type: 'local', value: target }
}

/** An object with the children of a node, each cut down to the constant path that is asked of it. */
export function childrenOf(f: Frame, node: RuleNode, rest: readonly Term[]): Operand {
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

/** Puts the base document of a node under its virtual one; without one, the result stays as it is. */
function mergeBlock(f: Frame, node: RuleNode, virtual: Local, result: Local): Block {
  return f.block(() => {
    let base: Operand = { type: 'local', value: DATA }
    for (const key of node.path) base = dot(f, base, f.string(key))
    const target = f.local()
    f.emit({ type: 'ObjectMergeStmt', a: virtual, b: f.toLocal(base), target })
    f.assign({ type: 'local', value: target }, result)
  })
}

function visibleChildren(node: RuleNode): [string, RuleNode][] {
  return [...node.children].filter(
    ([, child]) => hasContent(child) && !(isFunction(child) && child.children.size === 0),
  )
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
