// strings.render_template: the part of Go's text/template that renders data. Missing keys are `<undefined>`.
import { isArray, Num, num, RegoObject, RegoSet, type Value, writeJson } from '../value.ts'
import { fail } from './kind.ts'

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly pipe: string }
  | {
      readonly kind: 'if' | 'range' | 'with'
      readonly pipe: string
      readonly body: Node[]
      readonly other: Node[]
    }

const MISSING = Symbol('missing')
type Result = Value | typeof MISSING

function parse(source: string): Node[] {
  const tokens = source.split(/(\{\{-?[\s\S]*?-?\}\})/)
  let trimNext = false
  const stack: { nodes: Node[]; node?: Extract<Node, { body: Node[] }>; inElse: boolean }[] = [
    { nodes: [], inElse: false },
  ]
  const top = () => stack[stack.length - 1] as (typeof stack)[number]
  for (const [i, token] of tokens.entries()) {
    if (i % 2 === 0) {
      let text = trimNext ? token.trimStart() : token
      if ((tokens[i + 1] ?? '').startsWith('{{-')) text = text.trimEnd()
      if (text !== '') top().nodes.push({ kind: 'text', text })
      continue
    }
    trimNext = token.endsWith('-}}')
    const action = token
      .replace(/^\{\{-?/, '')
      .replace(/-?\}\}$/, '')
      .trim()
    if (action.startsWith('/*')) continue
    const [, word = '', rest = ''] = /^(if|range|with|else|end)\b\s*([\s\S]*)$/.exec(action) ?? []
    if (word === 'if' || word === 'range' || word === 'with') {
      const node = { kind: word, pipe: rest, body: [], other: [] } as Extract<
        Node,
        { body: Node[] }
      >
      top().nodes.push(node)
      stack.push({ nodes: node.body, node, inElse: false })
    } else if (word === 'else') {
      const frame = top()
      if (!frame.node) return fail('template: unexpected {{else}}')
      frame.nodes = frame.node.other
      if (rest.startsWith('if')) {
        const node = { kind: 'if', pipe: rest.slice(2).trim(), body: [], other: [] } as Extract<
          Node,
          { body: Node[] }
        >
        frame.nodes.push(node)
        stack[stack.length - 1] = { nodes: node.body, node, inElse: true }
      }
    } else if (word === 'end') {
      if (stack.length === 1) return fail('template: unexpected {{end}}')
      stack.pop()
    } else top().nodes.push({ kind: 'value', pipe: action })
  }
  if (stack.length > 1) return fail('template: unexpected EOF')
  return stack[0]?.nodes ?? []
}

type Scope = Map<string, Result>

function truthy(v: Result): boolean {
  if (v === MISSING || v === null || v === false || v === '') return false
  if (v instanceof Num) return Number(v.text) !== 0
  if (isArray(v)) return v.length > 0
  if (v instanceof RegoObject) return v.pairs.length > 0
  if (v instanceof RegoSet) return v.items.length > 0
  return true
}

function show(v: Result): string {
  if (v === MISSING) return '<undefined>'
  if (v === null) return '<nil>'
  if (typeof v === 'string') return v
  if (v instanceof Num) return v.text
  if (typeof v === 'boolean') return String(v)
  if (isArray(v)) return `[${v.map(show).join(' ')}]`
  if (v instanceof RegoSet) return `[${v.items.map(show).join(' ')}]`
  return `map[${v.pairs.map(([k, x]) => `${show(k)}:${show(x)}`).join(' ')}]`
}

const WORD = /"(?:[^"\\]|\\.)*"|`[^`]*`|\([^()]*\)|[^\s()]+/g

function field(base: Result, path: string): Result {
  let at = base
  for (const name of path.split('.').filter((n) => n !== '')) {
    if (at === MISSING) return MISSING
    if (!(at instanceof RegoObject)) return fail(`template: can't evaluate field ${name}`)
    at = at.get(name) ?? MISSING
  }
  return at
}

class Renderer {
  readonly #root: Value
  constructor(root: Value) {
    this.#root = root
  }

  render(nodes: readonly Node[], dot: Result, scope: Scope): string {
    return nodes.map((node) => this.#node(node, dot, scope)).join('')
  }

  #node(node: Node, dot: Result, scope: Scope): string {
    if (node.kind === 'text') return node.text
    if (node.kind === 'value') {
      const assigned = /^\$(\w+)\s*:?=\s*([\s\S]*)$/.exec(node.pipe)
      if (assigned) {
        scope.set(assigned[1] ?? '', this.#pipe(assigned[2] ?? '', dot, scope))
        return ''
      }
      return show(this.#pipe(node.pipe, dot, scope))
    }
    if (node.kind === 'range') return this.#range(node, dot, scope)
    const value = this.#pipe(node.pipe, dot, scope)
    const inner = new Map(scope)
    if (!truthy(value)) return this.render(node.other, dot, inner)
    return this.render(node.body, node.kind === 'with' ? value : dot, inner)
  }

  #range(node: Extract<Node, { body: Node[] }>, dot: Result, scope: Scope): string {
    const match = /^(?:\$(\w+)(?:\s*,\s*\$(\w+))?\s*:=\s*)?([\s\S]*)$/.exec(node.pipe)
    const value = this.#pipe(match?.[3] ?? '', dot, scope)
    const entries: (readonly [Value, Value])[] =
      value !== MISSING && isArray(value)
        ? value.map((x, i) => [num(i), x] as const)
        : value instanceof RegoSet
          ? value.items.map((x, i) => [num(i), x] as const)
          : value instanceof RegoObject
            ? [...value.pairs]
            : []
    if (entries.length === 0) return this.render(node.other, dot, new Map(scope))
    return entries
      .map(([k, v]) => {
        const inner = new Map(scope)
        const [one, two] = [match?.[1], match?.[2]]
        if (one !== undefined && two !== undefined) inner.set(one, k).set(two, v)
        else if (one !== undefined) inner.set(one, v)
        return this.render(node.body, v, inner)
      })
      .join('')
  }

  #pipe(pipe: string, dot: Result, scope: Scope): Result {
    let last: Result | undefined
    for (const command of pipe.split('|')) {
      const words = command.trim().match(WORD) ?? fail('template: missing value for command')
      last = this.#command(words, last, dot, scope)
    }
    return last ?? MISSING
  }

  #command(words: readonly string[], piped: Result | undefined, dot: Result, scope: Scope): Result {
    const [name = '', ...rest] = words
    const args = rest.map((w) => this.#operand(w, dot, scope))
    if (piped !== undefined) args.push(piped)
    const f = FUNCTIONS[name]
    if (f) return f(args)
    return this.#operand(name, dot, scope)
  }

  #operand(word: string, dot: Result, scope: Scope): Result {
    if (word.startsWith('(')) return this.#pipe(word.slice(1, -1), dot, scope)
    if (word.startsWith('"')) return JSON.parse(word) as string
    if (word.startsWith('`')) return word.slice(1, -1)
    if (/^-?\d/.test(word)) return new Num(word)
    if (word === 'true' || word === 'false') return word === 'true'
    if (word === 'nil') return null
    if (word === '.') return dot
    if (word === '$') return this.#root
    if (word.startsWith('$.')) return field(this.#root, word.slice(1))
    if (word.startsWith('.')) return field(dot, word)
    const variable = /^\$(\w+)(.*)$/.exec(word)
    if (variable) {
      const value = scope.get(variable[1] ?? '')
      if (value === undefined) return fail(`template: undefined variable "$${variable[1]}"`)
      return field(value, variable[2] ?? '')
    }
    return fail(`template: function "${word}" not defined`)
  }
}

function text(v: Result | undefined): string {
  return v === undefined ? '' : show(v)
}
function compare(a: Result | undefined, b: Result | undefined): number {
  if (a instanceof Num && b instanceof Num) return Number(a.text) - Number(b.text)
  return text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0
}
function size(v: Result = MISSING): number {
  if (typeof v === 'string') return Buffer.byteLength(v)
  if (v !== MISSING && isArray(v)) return v.length
  if (v instanceof RegoObject) return v.pairs.length
  if (v instanceof RegoSet) return v.items.length
  return fail('template: error calling len')
}

const FUNCTIONS: Readonly<Record<string, (args: readonly Result[]) => Result>> = {
  eq: ([a, ...rest]) => rest.some((b) => compare(a, b) === 0),
  ne: ([a, b]) => compare(a, b) !== 0,
  lt: ([a, b]) => compare(a, b) < 0,
  le: ([a, b]) => compare(a, b) <= 0,
  gt: ([a, b]) => compare(a, b) > 0,
  ge: ([a, b]) => compare(a, b) >= 0,
  not: ([a]) => !truthy(a ?? MISSING),
  and: (args) => args.find((a) => !truthy(a)) ?? args.at(-1) ?? MISSING,
  or: (args) => args.find(truthy) ?? args.at(-1) ?? MISSING,
  len: ([a]) => num(size(a)),
  print: (args) => args.map(show).join(''),
  println: (args) => `${args.map(show).join(' ')}\n`,
  html: ([a]) => text(a).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`),
  js: ([a]) => JSON.stringify(text(a)).slice(1, -1),
  urlquery: ([a]) => encodeURIComponent(text(a)),
  index: ([base, ...keys]) => {
    let at: Result = base ?? MISSING
    for (const key of keys) {
      if (at !== MISSING && isArray(at) && key instanceof Num) at = at[Number(key.text)] ?? MISSING
      else if (at instanceof RegoObject && typeof key === 'string') at = at.get(key) ?? MISSING
      else return fail('template: error calling index')
    }
    return at
  },
}

export function renderTemplate(source: string, variables: RegoObject): Value {
  return new Renderer(variables).render(parse(source), variables, new Map())
}

export { writeJson }
