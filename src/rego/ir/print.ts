import type { Block, Operand, Policy, Stmt } from './ir.ts'

const PLACE: ReadonlySet<string> = new Set(['file', 'row', 'col'])

/** The IR as text, one statement a line, for people and golden files. */
export function printPolicy(policy: Policy): string {
  const { strings, constants } = policy.static
  const show = (operand: Operand): string => {
    if (operand.type === 'local') return `L${operand.value}`
    if (operand.type === 'bool') return String(operand.value)
    if (operand.type === 'string_index') return JSON.stringify(strings[operand.value])
    return JSON.stringify(constants[operand.value])
  }
  const value = (v: unknown): string => {
    if (Array.isArray(v)) return `[${v.map(value).join(', ')}]`
    if (v !== null && typeof v === 'object' && 'type' in v && 'value' in v)
      return show(v as Operand)
    return JSON.stringify(v)
  }
  const stmt = (s: Stmt, indent: string): string => {
    const parts: string[] = []
    const nested: string[] = []
    for (const [key, v] of Object.entries(s)) {
      if (key === 'type' || v === undefined || PLACE.has(key)) continue
      if (key === 'block' || key === 'fallback') {
        if (typeof v === 'object') nested.push(block(v as Block, `${indent}  `))
        else parts.push(`${key}=${value(v)}`)
      } else if (key === 'blocks')
        nested.push(...(v as Block[]).map((b) => block(b, `${indent}  `)))
      else if (key === 'cases') {
        for (const { keys, block: b } of v as { keys: Operand[]; block: Block }[])
          nested.push(`${indent}  case ${value(keys)}`, block(b, `${indent}  `))
      } else parts.push(`${key}=${value(v)}`)
    }
    const line = `${indent}${s.type.replace(/Stmt$/, '')} ${parts.join(' ')}`.trimEnd()
    return [line, ...nested].join('\n')
  }
  const block = ({ stmts }: Block, indent: string): string =>
    [`${indent}block`, ...stmts.map((s) => stmt(s, `${indent}  `))].join('\n')
  const lines: string[] = []
  for (const { name, blocks } of policy.plans)
    lines.push(`plan ${name}`, ...blocks.map((b) => block(b, '  ')))
  for (const { name, params, blocks, memo } of policy.funcs) {
    lines.push(`func ${name}(${params.map((p) => `L${p}`).join(', ')})${memo ? ' memo' : ''}`)
    lines.push(...blocks.map((b) => block(b, '  ')))
  }
  return `${lines.join('\n')}\n`
}
