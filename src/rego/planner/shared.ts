// References that several rules of a function begin with are read once, before the rules: constant paths into the input,
// and base documents below constant keys or values of the input, as in `data.users[input.user.id]`.
import type { RefTerm, Rule, Term } from '../ast/ast.ts'
import { walkRule } from '../ast/walk.ts'
import type { Block, Local, Operand } from '../ir/ir.ts'
import { type Frame, isInputPath, namesOf, planTerm } from './frame.ts'
import { nodeAt } from '../ast/tree.ts'

/** Reading something once that nobody asks for costs more than reading it twice. */
const USERS_MIN = 2
const SHARED_MAX = 16

/** How a cache of references names a step from `path` to a term; undefined when the term may differ within a rule. */
export function stepKey(path: string, term: Term): string | undefined {
  if (term.kind === 'string') return `${path}\u0000${term.value}`
  if (term.kind !== 'ref' || !isInputPath(term)) return undefined
  return `${path}\u0000[${namesOf(term).join('\u0001')}]`
}

interface Known {
  readonly value: Operand
  readonly key: string
  /** The term behind what is known. */
  readonly next: number
}

/** The longest part of a reference that was read already, in this body or before the rules. */
export function longestKnown(
  f: Frame,
  path: string,
  terms: readonly Term[],
  start: number,
): Known | undefined {
  const keys: string[] = []
  for (let key: string | undefined = path, i = start; i < terms.length; i++) {
    key = stepKey(key, terms[i] as Term)
    if (key === undefined) break
    keys.push(key)
  }
  for (const [i, key] of [...keys.entries()].reverse()) {
    const value = f.vars.get(key) ?? sharedRef(f, key)
    if (value) return { value, key, next: start + i + 1 }
  }
  return undefined
}

/** A reference read before the rules, or undefined; in a `with` it may mean something else. */
function sharedRef(f: Frame, key: string): Operand | undefined {
  const local = f.withDepth === 0 ? f.shared.get(key) : undefined
  if (local === undefined) return undefined
  const value = { type: 'local', value: local } as const
  f.emit({ type: 'IsDefinedStmt', source: local })
  f.vars.set(key, value)
  return value
}

export function readShared(f: Frame, rules: readonly Rule[]): Block[] {
  // A trace shows expressions as they stand.
  if (f.planner.input.trace || rules.length < USERS_MIN) return []
  const blocks: Block[] = []
  for (const [key, ref] of worthSharing(f, rules)) {
    const local = f.local()
    blocks.push(readOnce(f, ref, local))
    f.shared.set(key, local)
  }
  return blocks
}

function readOnce(f: Frame, ref: RefTerm, local: Local): Block {
  return f.block(() => {
    f.emit({ type: 'ResetLocalStmt', target: local })
    planTerm(f, ref, (value) => f.assign(value, local))
  })
}

interface Prefix {
  readonly ref: RefTerm
  users: number
  last: Rule
}

/** Prefixes that several rules use, longest first left out when a shorter one has no more users. */
function worthSharing(f: Frame, rules: readonly Rule[]): [string, RefTerm][] {
  const found = new Map<string, Prefix>()
  const inside = new Set<Term>()
  for (const rule of rules) {
    walkRule(rule, (term) => {
      if (term.kind !== 'ref' || inside.has(term)) return
      // An index that is part of a prefix is read with it.
      for (const index of countPrefixes(f, term, rule, found)) inside.add(index)
    })
  }
  const many = [...found].filter(([, { users }]) => users >= USERS_MIN)
  const isCovered = ([key, { users }]: [string, Prefix]) =>
    many.some(([other, one]) => other.startsWith(`${key}\u0000`) && one.users === users)
  return many
    .filter((one) => !isCovered(one))
    .slice(0, SHARED_MAX)
    .map(([key, { ref }]) => [key, ref])
}

function countPrefixes(
  f: Frame,
  ref: RefTerm,
  rule: Rule,
  found: Map<string, Prefix>,
): readonly Term[] {
  const [head, ...rest] = ref.terms
  if (head.kind !== 'var' || (head.name !== 'input' && head.name !== 'data')) return []
  let key: string | undefined = head.name
  for (const [i, term] of rest.entries()) {
    key = stepKey(key, term)
    if (key === undefined) return rest.slice(0, i)
    const known = found.get(key)
    if (!known) {
      const prefix = { ...ref, terms: [head, ...rest.slice(0, i + 1)] as RefTerm['terms'] }
      if (head.name === 'input' || isBase(f, prefix)) {
        found.set(key, { ref: prefix, users: 1, last: rule })
      }
    } else if (known.last !== rule) {
      known.users++
      known.last = rule
    }
  }
  return rest
}

/** Whether a reference leads past all rules, into base documents. */
function isBase(f: Frame, { terms }: RefTerm): boolean {
  const path: string[] = []
  for (const term of terms.slice(1)) {
    if (term.kind !== 'string') break
    path.push(term.value)
    const node = nodeAt(f.planner.input.tree, path)
    if (!node) return true
    if (node.rules.length > 0) return false
  }
  return false
}
