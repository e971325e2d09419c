// A second import into a tools.yaml that people have worked on. What bears a mark and still is what was generated follows
// the document; what a person changed, wrote or renamed stays as it is, to the byte, and is named.
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml'
import { GatewayError } from '../../errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { textOf } from './documents.ts'
import type { Imported } from './imported.ts'
import { digestOf, fileText, toolText, upstreamText } from './render.ts'

export interface Merged {
  readonly text: string
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  /** Left as a person has it, although the document says something else. */
  readonly kept: readonly string[]
}

/** An entry of a map as it stands in the text. */
interface Entry {
  readonly name: string
  readonly value: JsonObject
  /** With its mark. */
  readonly start: number
  readonly end: number
  readonly mark: { readonly digest: string; readonly origin: string } | null
}

interface Wanted {
  readonly name: string
  readonly value: JsonObject
  readonly origin: string
  readonly text: string
}

const MARK = /^[ \t]*# x-portcullis: ([0-9a-f]{12})(?: from (.*?); effect .*)?[ \t]*$/

/** The text with the import worked in. @throws GatewayError invalid_request where it is no file to work on */
export function mergeImport(text: string, imported: Imported): Merged {
  const merging = new Merging(text)
  merging.section(
    'upstreams',
    [...imported.upstreams].map(([name, value]) => ({
      name,
      value,
      origin: '',
      text: upstreamText(name, value),
    })),
    () => false,
  )
  merging.section(
    'tools',
    imported.tools.map((one) => ({
      name: one.name,
      value: one.tool,
      origin: one.origin,
      text: toolText(one),
    })),
    ({ value, mark }) =>
      imported.upstreams.has(textOf(value, 'upstream')) &&
      !imported.origins.has(mark?.origin ?? ''),
  )
  return merging.done()
}

/** The text of an import of its own, as a merge of nothing. */
export const firstImport = (imported: Imported): Merged => ({
  text: fileText(imported),
  added: imported.tools.map(({ name }) => name),
  changed: [],
  removed: [],
  kept: [],
})

class Merging {
  readonly #text: string
  readonly #root: YAMLMap
  readonly #edits: { start: number; end: number; text: string }[] = []
  readonly #added: string[] = []
  readonly #changed: string[] = []
  readonly #removed: string[] = []
  readonly #kept: string[] = []

  constructor(text: string) {
    const document = parseDocument(text, { uniqueKeys: true })
    if (document.errors.length > 0 || !isMap(document.contents)) {
      throw new GatewayError('invalid_request', 'the tools.yaml that is there does not parse')
    }
    this.#text = text
    this.#root = document.contents
  }

  section(key: string, wanted: readonly Wanted[], isGone: (entry: Entry) => boolean): void {
    const map = this.#root.get(key)
    if (!isMap(map) || (map.flow && map.items.length > 0)) {
      throw new GatewayError('invalid_request', `\`${key}\` of tools.yaml is not a list of lines`)
    }
    const entries = map.flow ? [] : this.#entries(map)
    const byName = new Map(entries.map((one) => [one.name, one]))
    const byOrigin = new Map(
      entries.flatMap((one) => (one.mark?.origin ? [[one.mark.origin, one] as const] : [])),
    )
    const news: Wanted[] = []
    for (const one of wanted) {
      const known = byOrigin.get(one.origin) ?? byName.get(one.name)
      if (known) this.#update(known, one)
      else news.push(one)
    }
    for (const entry of entries) if (entry.mark && isGone(entry)) this.#remove(entry)
    this.#add(map, entries, news)
  }

  done(): Merged {
    let { text } = { text: this.#text }
    for (const { start, end, text: own } of this.#edits.sort((a, b) => b.start - a.start)) {
      text = text.slice(0, start) + own + text.slice(end)
    }
    const [added, changed, removed, kept] = [this.#added, this.#changed, this.#removed, this.#kept]
    return { text, added, changed, removed, kept }
  }

  #update(entry: Entry, wanted: Wanted): void {
    const next = digestOf(wanted.value)
    const now = digestOf(entry.value)
    if (now === next && entry.name === wanted.name) return
    if (entry.mark?.digest === next) return // a person's change of what is the same in the document
    const isTheirs = !entry.mark || now !== entry.mark.digest || entry.name !== wanted.name
    if (isTheirs) {
      this.#kept.push(entry.name)
      return
    }
    this.#changed.push(entry.name)
    this.#edits.push({ start: entry.start, end: entry.end, text: wanted.text })
  }

  #remove(entry: Entry): void {
    if (digestOf(entry.value) !== entry.mark?.digest) {
      this.#kept.push(entry.name)
      return
    }
    this.#removed.push(entry.name)
    this.#edits.push({ start: entry.start, end: entry.end, text: '' })
  }

  #add(map: YAMLMap, entries: readonly Entry[], news: readonly Wanted[]): void {
    if (news.length === 0) return
    this.#added.push(...news.map(({ name }) => name))
    const [start, valueEnd] = map.range ?? [0, 0]
    const isEmpty = entries.length === 0
    const at = isEmpty ? start : (entries.at(-1)?.end ?? valueEnd)
    // As far in as what is there already.
    const indent = isEmpty ? '  ' : this.#indentOf(entries[0] as Entry)
    const texts = news.map(({ text }) => text.replace(/^ {2}/gm, indent)).join('')
    this.#edits.push({
      start: at,
      end: isEmpty ? valueEnd : at,
      text: `${isEmpty ? '\n' : ''}${texts}`,
    })
  }

  #indentOf({ start }: Entry): string {
    return /^[ ]*/.exec(this.#text.slice(start, start + 200))?.[0] || '  '
  }

  #entries(map: YAMLMap): readonly Entry[] {
    return map.items.flatMap((pair) => {
      const { key, value } = pair
      const range = isScalar(key) ? key.range : undefined
      if (!isScalar(key) || !range || !isMap(value)) return []
      const line = this.#text.lastIndexOf('\n', range[0] - 1) + 1
      const above = this.#text.lastIndexOf('\n', line - 2) + 1
      const match = MARK.exec(this.#text.slice(above, Math.max(above, line - 1)))
      const last = value.range?.[1] ?? range[1]
      const isAtBreak = this.#text[last - 1] === '\n'
      const next = isAtBreak ? last - 1 : this.#text.indexOf('\n', last)
      const end = next < 0 ? this.#text.length : next + 1
      return [
        {
          name: String(key.value),
          value: value.toJSON() as Json as JsonObject,
          start: match ? above : line,
          end,
          mark: match ? { digest: match[1] ?? '', origin: match[2] ?? '' } : null,
        },
      ]
    })
  }
}
