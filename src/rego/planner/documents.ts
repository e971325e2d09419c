// Documents that rules and base data make together: virtual values over base ones.
import type { Block, Func, Local, Operand } from '../ir/ir.ts'
import { DATA, type Frame, INPUT } from './frame.ts'
import { dot } from './steps.ts'
import { hasContent, isDynamic, isFunction, type RuleNode } from '../ast/tree.ts'

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

/** Puts the base document of a node under its virtual one; without one, the result stays as it is. */
export function mergeBlock(f: Frame, node: RuleNode, virtual: Local, result: Local): Block {
  return f.block(() => {
    let base: Operand = { type: 'local', value: DATA }
    for (const key of node.path) base = dot(f, base, f.string(key))
    const target = f.local()
    f.emit({ type: 'ObjectMergeStmt', a: virtual, b: f.toLocal(base), target })
    f.assign({ type: 'local', value: target }, result)
  })
}

export function visibleChildren(node: RuleNode): [string, RuleNode][] {
  return [...node.children].filter(
    ([, child]) => hasContent(child) && !(isFunction(child) && child.children.size === 0),
  )
}
