// What operators and built-in roots look like in the tree: the same after parsing as when a later stage makes them.
import type { Loc, RefTerm, Term } from './ast.ts'

const ROOTS = new Set(['data', 'input'])

export function operatorRef(name: string, loc: Loc): RefTerm {
  const [first = '', ...rest] = name.split('.')
  return {
    kind: 'ref',
    loc,
    terms: [
      { kind: 'var', name: first, loc },
      ...rest.map((value) => ({ kind: 'string', value, loc }) as const),
    ],
  }
}

export function isOperator(operator: RefTerm, name: string): boolean {
  const [head] = operator.terms
  return operator.terms.length === 1 && head.kind === 'var' && head.name === name
}

/** The dotted name of a call's operator, or undefined when it is not made of names. */
export function operatorName({ terms }: RefTerm): string | undefined {
  const [head] = terms
  if (head.kind !== 'var') return undefined
  let { name } = head
  for (let i = 1; i < terms.length; i++) {
    const step = terms[i]
    if (step?.kind !== 'string') return undefined
    name += `.${step.value}`
  }
  return name
}

/** `data` and `input` alone are references. */
export function asRoot(term: Term): Term {
  return term.kind === 'var' && ROOTS.has(term.name)
    ? { kind: 'ref', terms: [term], loc: term.loc }
    : term
}
