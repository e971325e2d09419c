import { sha256 } from '../../lib/canonical.ts'

// Names of tools stay the same from import to import: they come from what the operation says of itself and from nothing
// around it. Where two say the same, neither gets it, so that a third that is added later changes nothing.

const NAME_MAX = 128
const HASH_CHARS = 8

interface Named {
  readonly method: string
  readonly path: string
  readonly id: string
}

/** A name for each operation, all of them different. `taken` are names of the gate itself. */
export function toolNames<O extends Named>(
  operations: readonly O[],
  taken: ReadonlySet<string>,
): ReadonlyMap<O, string> {
  const first = new Map(operations.map((one) => [one, legal(one.id) || byRoute(one)]))
  const second = again(first, taken, byRoute)
  return again(second, taken, (one) => withHash(byRoute(one), `${one.method} ${one.path}`))
}

/** The names, with another one for each that is taken or that several have. Case alone keeps no two apart. */
function again<O>(
  names: ReadonlyMap<O, string>,
  taken: ReadonlySet<string>,
  other: (one: O) => string,
): ReadonlyMap<O, string> {
  const counts = new Map<string, number>()
  for (const name of names.values()) {
    counts.set(name.toLowerCase(), (counts.get(name.toLowerCase()) ?? 0) + 1)
  }
  return new Map(
    [...names].map(([one, name]) => {
      const isFree = counts.get(name.toLowerCase()) === 1 && !taken.has(name)
      return [one, isFree ? name : other(one)]
    }),
  )
}

/** A text as a name of a tool; '' where nothing of it can be. */
function legal(text: string): string {
  const plain = text
    .trim()
    .replace(/[^A-Za-z0-9_.-]+/g, '_')
    .replace(/^[_.-]+|[_.-]+$/g, '')
  if (plain === '' || !/[A-Za-z0-9]/.test(plain)) return ''
  const named = /^[A-Za-z]/.test(plain) ? plain : `op_${plain}`
  return named.length <= NAME_MAX ? named : withHash(named, text)
}

/** `GET /contacts/{id}` is `contacts.id.get`, so that `contacts.*` names what belongs together. */
function byRoute({ method, path }: Named): string {
  const parts = path.split(/[/?#&]/).map((part) => part.replace(/[^A-Za-z0-9_-]+/g, '_'))
  const words = parts
    .map((part) => part.replace(/^[_-]+|[_-]+$/g, ''))
    .filter((part) => part !== '')
  return legal([...words, method.toLowerCase()].join('.')) || method.toLowerCase()
}

function withHash(name: string, of: string): string {
  const hash = sha256(of).slice(0, HASH_CHARS)
  return `${name.slice(0, NAME_MAX - HASH_CHARS - 1).replace(/[_.-]+$/, '')}_${hash}`
}
