import type { Term } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'
import { scalarText } from '../ast/scalar-text.ts'

/** What a made-up variable stands for. */
export type Subjects = ReadonlyMap<string, Term>

/** Terms as text for messages: variables by their names in the source, made-up ones by what they stand for. */
export function shower(
  original: ReadonlyMap<string, string>,
  subjects: Subjects,
): (term: Term) => string {
  const list = (terms: readonly Term[]): string => terms.map(show).join(', ')
  const show = (term: Term): string => {
    switch (term.kind) {
      case 'var': {
        const subject = subjects.get(term.name)
        if (subject) return show(subject)
        const name = original.get(term.name) ?? term.name
        return name.startsWith('$') || name.startsWith('%') ? '_' : name
      }
      case 'ref': {
        const [head, ...rest] = term.terms
        return show(head) + rest.map(step).join('')
      }
      case 'array':
        return `[${list(term.items)}]`
      case 'set':
        return term.items.length === 0 ? 'set()' : `{${list(term.items)}}`
      case 'object':
        return `{${term.pairs.map(([k, v]) => `${show(k)}: ${show(v)}`).join(', ')}}`
      case 'call':
        return `${operatorName(term.operator) ?? ''}(${list(term.args)})`
      default:
        return scalarText(term) ?? '…'
    }
  }
  const step = (term: Term): string =>
    term.kind === 'string' && /^[A-Za-z_]\w*$/.test(term.value)
      ? `.${term.value}`
      : `[${show(term)}]`
  return show
}
