// A module's syntax tree in the form in which OPA writes its own as JSON.
import { compareTerms } from './term-order.ts'
import type { Body, Expr, Head, Module, Rule, Term } from './ast.ts'

/** What `rego.parse_module` gives; numbers as JSON texts by way of `number`. */
export function moduleJson(module: Module, number: (text: string) => unknown): object {
  return new Writer(number).module(module)
}

const OWN_NAMES: Readonly<Record<string, string>> = {
  arrayComprehension: 'arraycomprehension',
  setComprehension: 'setcomprehension',
  objectComprehension: 'objectcomprehension',
  template: 'templatestring',
}

class Writer {
  readonly #number: (text: string) => unknown
  constructor(number: (text: string) => unknown) {
    this.#number = number
  }

  module({ package: { path }, imports, rules, comments, file }: Module): object {
    return {
      package: {
        path: [{ type: 'var', value: 'data' }, ...path.map((value) => ({ type: 'string', value }))],
      },
      imports:
        imports.length === 0
          ? undefined
          : imports.map((i) => ({ path: this.#term(i.path), alias: i.alias })),
      rules: rules.length === 0 ? undefined : rules.map((rule) => this.#rule(rule)),
      comments:
        comments.length === 0
          ? undefined
          : comments.map(({ text, loc }) => ({
              Text: Buffer.from(text).toString('base64'),
              Location: { file, row: loc.row, col: loc.col },
            })),
    }
  }

  #rule(rule: Rule): object {
    return {
      default: rule.isDefault ? true : undefined,
      head: this.#head(rule.head),
      body: this.#body(rule.body),
      else: rule.else && this.#rule(rule.else),
    }
  }

  #head({ ref, args, key, value, assign }: Head): object {
    const [first, second] = ref
    // The old form of heads: one key behind the name, but for functions and sets.
    const isKeyed = ref.length === 2 && !args && !key && second !== undefined
    const keyed = isKeyed ? second : key
    return {
      name: ref.length === 1 || isKeyed ? first.name : undefined,
      ref: ref.map((term) => this.#term(term)),
      args: args && args.length > 0 ? args.map((term) => this.#term(term)) : undefined,
      key: keyed && this.#term(keyed),
      value: value && this.#term(value),
      assign: assign ? true : undefined,
    }
  }

  #body(body: Body): object[] {
    return body.map((expr, index) => this.#expr(expr, index))
  }

  #expr(expr: Expr, index: number): object {
    return {
      index,
      negated: expr.negated ? true : undefined,
      terms: this.#terms(expr),
      with:
        expr.with.length === 0
          ? undefined
          : expr.with.map(({ target, value }) => ({
              target: this.#term(target),
              value: this.#term(value),
            })),
    }
  }

  #terms({ node }: Expr): unknown {
    switch (node.kind) {
      case 'term':
        return this.#term(node.term)
      case 'call':
        return [node.operator, ...node.args].map((term) => this.#term(term))
      case 'some':
        return { symbols: node.vars.map((name) => this.#term(name)) }
      case 'someIn': {
        const { key, value, domain } = node
        const operator = { type: 'ref', value: member(key ? 3 : 2) }
        const operands = [...(key ? [key] : []), value, domain].map((term) => this.#term(term))
        return { symbols: [{ type: 'call', value: [operator, ...operands] }] }
      }
      case 'every':
        return {
          key: node.key ? this.#term(node.key) : null,
          value: this.#term(node.value),
          domain: this.#term(node.domain),
          body: this.#body(node.body),
        }
      default:
        return { body: this.#body(node.body) }
    }
  }

  #term(term: Term): object {
    return { type: OWN_NAMES[term.kind] ?? term.kind, value: this.#value(term) }
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #value(term: Term): unknown {
    switch (term.kind) {
      case 'null':
        return {}
      case 'boolean':
      case 'string':
        return term.value
      case 'number':
        return this.#number(term.text)
      case 'var':
        return term.name
      case 'ref':
        return term.terms.map((t) => this.#term(t))
      case 'call':
        return [term.operator, ...term.args].map((t) => this.#term(t))
      case 'array':
        return term.items.map((t) => this.#term(t))
      case 'set':
        return distinct(term.items).map((t) => this.#term(t))
      case 'object':
        return term.pairs
          .toSorted(([a], [b]) => compareTerms(a, b))
          .map(([k, v]) => [this.#term(k), this.#term(v)])
      case 'arrayComprehension':
      case 'setComprehension':
        return { term: this.#term(term.term), body: this.#body(term.body) }
      case 'objectComprehension': {
        const { key, value, body } = term
        return { key: this.#term(key), value: this.#term(value), body: this.#body(body) }
      }
      case 'template':
        return {
          multi_line: term.multiLine,
          parts: term.parts.map((part) =>
            part.kind === 'expr' ? this.#expr(part, 0) : this.#term(part),
          ),
        }
    }
  }
}

function member(operands: 2 | 3): object[] {
  return [
    { type: 'var', value: 'internal' },
    { type: 'string', value: `member_${operands}` },
  ]
}

function distinct(items: readonly Term[]): readonly Term[] {
  const sorted = items.toSorted(compareTerms)
  return sorted.filter((item, i) => i === 0 || compareTerms(sorted[i - 1] as Term, item) !== 0)
}
