import type { Local, Operand } from '../ir/ir.ts'
import type { Frame } from './frame.ts'

/** The value below a key. */
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
