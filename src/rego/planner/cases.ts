// `test_x[name] if { ... }` makes an object of the cases that hold: one that does not is merely not there, as if nobody
// had written it. So a build for tests calls a function with the name of each case as soon as that is known, before
// anything of the case can fail, as OPA does.
import type { Body, Expr, Rule, Term } from '../ast/ast.ts'
import { testName } from '../ast/tests.ts'
import { walkTerm } from '../ast/walk.ts'
import type { PlacedRule } from '../ast/tree.ts'
import { type Frame, type Next, pathTerms, type PendingCase, planExpr, planTerm } from './frame.ts'

/** Called with the path of each case that is begun; whoever loads the build brings it. */
export const TEST_CASE = 'internal.test_case'

/** Whether a rule is a test with cases, in a build for tests. */
export function hasCases(f: Frame, { head }: Rule): boolean {
  return f.planner.input.tests && (testName(head)?.cases.length ?? 0) > 0
}

/** What is to be named while a branch of a rule is planned. */
export function pendingCase(
  f: Frame,
  { path, suffix }: PlacedRule,
  branch: Rule,
): PendingCase | undefined {
  if (!hasCases(f, branch)) return undefined
  const { loc, body } = branch
  return { body, name: { kind: 'array', items: [...pathTerms(path, loc), ...suffix], loc } }
}

/** Names the case before the `i`-th expression of its body, if that is when its name is known. */
export function planCase(f: Frame, body: Body, i: number, next: Next): void {
  const pending = f.testCase
  if (!pending || pending.body !== body) return next()
  const naming = namedBy(f, pending.name, body.slice(i))
  if (!naming) return next()
  const { tracing } = f
  f.tracing = undefined
  const block = f.block(() => planNaming(f, naming, 0, pending.name))
  f.emit({ type: 'BlockStmt', blocks: [block] })
  f.tracing = tracing
  f.testCase = undefined
  next()
  f.testCase = pending
}

function planNaming(f: Frame, naming: readonly Expr[], i: number, name: Term): void {
  const expr = naming[i]
  if (expr) return planExpr(f, expr, () => planNaming(f, naming, i + 1, name))
  planTerm(f, name, (value) => {
    f.planner.builtin(TEST_CASE)
    f.emit({ type: 'CallStmt', func: TEST_CASE, args: [value], result: f.local() })
  })
}

/**
 * What has to be worked out for the name, of the expressions that a stage took out of the head and that stand at the
 * end of the body; undefined while it refers to what the body has yet to find.
 */
function namedBy(f: Frame, name: Term, rest: Body): readonly Expr[] | undefined {
  const wanted = unknown(f, [name])
  const naming: Expr[] = []
  const others: Expr[] = []
  for (const expr of [...rest].reverse()) {
    const made = expr.generated ? resultsOf(expr).filter((one) => wanted.has(one)) : []
    if (made.length === 0) {
      others.push(expr)
      continue
    }
    for (const one of unknown(f, termsOf(expr))) wanted.add(one)
    for (const one of made) wanted.delete(one)
    naming.unshift(expr)
  }
  // A variable that occurs nowhere else is one of a comprehension inside the name.
  const found = unknown(f, others.flatMap(termsOf))
  return [...wanted].some((one) => found.has(one)) ? undefined : naming
}

function resultsOf({ node, negated }: Expr): string[] {
  if (node.kind !== 'call' || negated) return []
  return node.args.flatMap((one) => (one.kind === 'var' ? [one.name] : []))
}

/** The variables in terms that have no value yet. */
function unknown(f: Frame, terms: readonly Term[]): Set<string> {
  const found = new Set<string>()
  for (const one of terms) {
    walkTerm(
      one,
      (term) => {
        const isName = term.kind === 'var' && term.name !== 'input' && term.name !== 'data'
        if (isName && !f.vars.has(term.name)) found.add(term.name)
      },
      (expr) => {
        for (const name of unknown(f, termsOf(expr))) found.add(name)
        return false
      },
    )
  }
  return found
}

/** The terms of an expression without the name of what it calls. */
function termsOf({ node, with: replaced }: Expr): readonly Term[] {
  const given = replaced.map(({ value }) => value)
  switch (node.kind) {
    case 'call':
      return [...node.args, ...given]
    case 'term':
      return [node.term, ...given]
    case 'every':
      return [node.domain, ...node.body.flatMap(termsOf), ...given]
    case 'body':
      return [...node.body.flatMap(termsOf), ...given]
    default:
      return given
  }
}
