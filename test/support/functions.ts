import { parseSync } from 'vite'

// Where the functions of a source begin and how long they are, by its syntax tree: a list of lines cannot tell
// a function from what stands beside it.

export interface Extent {
  readonly name: string
  readonly line: number
  readonly lines: number
}

type Node = Readonly<Record<string, unknown>> & { readonly type: string }

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

/** Every function of a source that has a body. */
export function functionsIn(file: string, text: string): Extent[] {
  const found: Extent[] = []
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length
  const walk = (value: unknown, name: string): void => {
    if (Array.isArray(value)) for (const one of value) walk(one, name)
    if (!isNode(value)) return
    const own = nameOf(value) ?? name
    if (FUNCTIONS.has(value.type) && value['body']) {
      const line = lineAt(value['start'] as number)
      found.push({ name: own, line, lines: lineAt(value['end'] as number) - line + 1 })
    }
    for (const child of Object.values(value)) walk(child, own)
  }
  walk(parseSync(file, text).program, '')
  return found
}

function nameOf({ type, id, key }: Node): string | undefined {
  const named = type.endsWith('Definition') || type === 'Property' ? key : id
  return isNode(named) && typeof named['name'] === 'string' ? named['name'] : undefined
}
