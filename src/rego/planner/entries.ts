// Plans of entry points: the value of a document, or the variables of a query, as objects in the result set.
import type { Operand, Plan } from '../ir/ir.ts'
import { dataPath, type Frame, planBody, planTerm } from './frame.ts'
import type { Entrypoint } from './input.ts'

export function planEntry(f: Frame, { name, path = [], query }: Entrypoint): Plan {
  const block = f.block(() => {
    if (!query) return planTerm(f, dataPath(path), (value) => addResult(f, [['result', value]]))
    return planBody(f, query.body, 0, () => {
      const pairs = query.vars.flatMap(([variable, shown]) => {
        const value = f.vars.get(variable)
        return value ? [[shown, value] as const] : []
      })
      addResult(f, pairs)
    })
  })
  return { name, blocks: [block] }
}

function addResult(f: Frame, pairs: readonly (readonly [string, Operand])[]): void {
  const object = f.local()
  f.emit({ type: 'MakeObjectStmt', target: object })
  for (const [key, value] of pairs) {
    f.emit({ type: 'ObjectInsertStmt', key: f.string(key), value, object })
  }
  f.emit({ type: 'ResultSetAddStmt', value: object })
}
