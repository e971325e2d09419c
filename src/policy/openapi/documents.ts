import path from 'node:path'
import { getPointer, isObject, parsePointer } from '../../bundle/pointer.ts'
import type { Json, JsonObject } from '../../model/json.ts'

/** A value of a document, with the file it stands in: references are relative to that. */
export interface Node {
  readonly value: Json | undefined
  readonly file: string
}

/** The parsed content of a file beside the document; undefined where there is none. */
export type Beside = (file: string) => Json | undefined

/** References to references; more of them are a circle or a joke. */
const STEPS_MAX = 32

/** A document and the files beside it, and what references in them lead to. */
export class Documents {
  readonly #files = new Map<string, Json | undefined>()
  readonly #beside: Beside

  constructor(root: Json, beside: Beside) {
    this.#files.set('', root)
    this.#beside = beside
  }

  get root(): Node {
    return { value: this.#files.get(''), file: '' }
  }

  /** What a value stands for: itself, or what its `$ref` leads to in the end. Its value is undefined where that is nowhere. */
  follow(node: Node): Node {
    let at = node
    for (let step = 0; step < STEPS_MAX; step++) {
      const ref = refOf(at.value)
      if (ref === undefined) return at
      at = this.#target(ref, at.file)
    }
    return { value: undefined, file: node.file }
  }

  /** The member of an object, its reference followed. Own members only. */
  member(node: Node, name: string): Node {
    const { value, file } = this.follow(node)
    const own = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
    return this.follow({ value: own, file })
  }

  /** The members of an object, as they are written. */
  members(node: Node): readonly (readonly [string, Node])[] {
    const { value, file } = this.follow(node)
    if (!isObject(value)) return []
    return Object.entries(value).map(([name, one]) => [name, { value: one, file }] as const)
  }

  /** The items of a list, as they are written. */
  items(node: Node): readonly Node[] {
    const { value, file } = this.follow(node)
    return Array.isArray(value) ? value.map((one: Json) => ({ value: one, file })) : []
  }

  #target(ref: string, from: string): Node {
    const [name = '', fragment = ''] = ref.split(/#(.*)/s)
    const file = name === '' ? from : besideOf(name, from)
    if (file === undefined) return { value: undefined, file: from }
    if (!this.#files.has(file)) this.#files.set(file, this.#beside(file))
    const steps = parsePointer(decoded(fragment))
    const value = steps && getPointer(this.#files.get(file), steps)
    return { value, file }
  }
}

/** The reference that a value is; undefined where it is none. */
export function refOf(value: Json | undefined): string | undefined {
  const ref = isObject(value) && Object.hasOwn(value, '$ref') ? value['$ref'] : undefined
  return typeof ref === 'string' ? ref : undefined
}

// Files of the same folder and below. What is elsewhere is not part of what was given to be read.
function besideOf(name: string, from: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:|^\/|\\|\0/i.test(name)) return undefined
  const file = path.posix.normalize(path.posix.join(path.posix.dirname(from), decoded(name)))
  return file === '..' || file.startsWith('../') || file.startsWith('/') ? undefined : file
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The text of a member, or ''. */
export function textOf(object: JsonObject, name: string): string {
  const value = Object.hasOwn(object, name) ? object[name] : undefined
  return typeof value === 'string' ? value : ''
}
