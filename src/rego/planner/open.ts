import type { Term } from '../ast/ast.ts'
import { walkTerm } from '../ast/walk.ts'
import type { Frame } from './frame.ts'

/** Whether a term has variables that have no value yet. */
export function isOpen(f: Frame, term: Term): boolean {
  let open = false
  walkTerm(term, (t) => {
    if (t.kind.endsWith('Comprehension') || t.kind === 'ref' || t.kind === 'call') return false
    if (t.kind === 'var' && !f.vars.has(t.name)) open = true
    return !open
  })
  return open
}

/** Goes no further. */
export function fail(f: Frame): void {
  const never = f.local()
  f.emit({ type: 'ResetLocalStmt', target: never })
  f.emit({ type: 'IsDefinedStmt', source: never })
}
