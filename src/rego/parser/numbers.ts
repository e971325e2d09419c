import type { Term } from '../ast/ast.ts'
import type { Cursor } from './cursor.ts'

const EXPONENT_MAX = 30102 // 2^100,000: larger numbers would cost more to write than they are worth

/** A number with its sign; its last token stays the current one. */
export function parseNumber(c: Cursor): Term | undefined {
  const { loc, token: first } = c
  let text = ''
  if (c.is('-')) {
    text = '-'
    c.advance()
    if (!c.is('number') && !c.is('.')) return c.illegal('expected number')
  }
  if (c.is('.')) {
    text += '.'
    c.advance()
    if (!c.is('number')) return c.illegal('expected number')
  }
  const literal = c.token.text
  if (!text.endsWith('.') && /^0[^.eE]/.test(literal)) {
    return c.illegal('expected number without leading zero')
  }
  text += literal
  if (!/^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return c.illegal('invalid float')
  const exponent = Number(/[eE]([+-]?\d+)$/.exec(text)?.[1] ?? 0)
  if (Math.abs(exponent + text.indexOf('.') + 1) > EXPONENT_MAX || text.length > EXPONENT_MAX) {
    return c.error(c.loc, 'number too big')
  }
  return { kind: 'number', text, loc: { ...loc, length: c.token.end - first.start } }
}
