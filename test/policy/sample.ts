import {
  loadBundle,
  type Bundle,
  type Diagnostic,
  type LoadOptions,
} from '../../src/policy/index.ts'
import { KINDS } from '../../src/decide/index.ts'

/** A small valid policy directory, by content; tests change single files of it. */
export const GATE = `version: 1
environment: production
permissions:
  - { roles: [reader], tools: ['notes.list', 'notes.get'], effect: allow }
  - { roles: [writer], tools: ['notes.*'], effect: allow }
`

export const TOOLS = `version: 1
upstreams:
  notes: { base_url: 'http://127.0.0.1:9999/api' }
tools:
  notes.list:
    upstream: notes
    method: GET
    path: /notes
    query: [tag, limit, all]
    effect: read
    args:
      type: object
      properties: { tag: { type: string }, limit: { type: integer }, all: { type: boolean } }
  notes.get:
    upstream: notes
    method: GET
    path: /notes/{id}
    effect: read
    args: { type: object, required: [id], properties: { id: { type: string } } }
    resource: { type: note, id_arg: id }
  notes.write:
    upstream: notes
    method: PUT
    path: /notes/{id}
    effect: write
    cost: '0.01'
    items: /lines
    recipients: [/to]
    paths: [/file]
    resource: { type: note, id_arg: id }
    args:
      type: object
      required: [id]
      properties:
        id: { type: string }
        text: { type: string }
        status: { enum: [open, closed] }
        lines: { type: array, items: { type: string } }
        to: { type: array, items: { type: string } }
        file: { type: string }
`

/** Contents by name; undefined takes a file of the sample away. */
export type Files = Record<string, string | Uint8Array | undefined>

export function sampleFiles(change: Files = {}): Record<string, string | Uint8Array> {
  const all = Object.entries({ 'gate.yaml': GATE, 'tools.yaml': TOOLS, ...change })
  return Object.fromEntries(
    all.flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
  )
}

export const OPTIONS: LoadOptions = { ...KINDS, env: {}, nowMs: 1_700_000_000_000 }

/** Loads the sample with changes; fails the test when it does not load. */
export async function bundleOf(
  change: Files = {},
  options: Partial<LoadOptions> = {},
): Promise<Bundle> {
  const result = await loadBundle(sampleFiles(change), { ...OPTIONS, ...options })
  if (!result.ok) throw new Error(`sample does not load: ${JSON.stringify(result.diagnostics)}`)
  return result.bundle
}

/** What is wrong with the sample after a change; fails the test when it loads. */
export async function findingsOf(
  change: Files,
  options: Partial<LoadOptions> = {},
): Promise<readonly Diagnostic[]> {
  const result = await loadBundle(sampleFiles(change), { ...OPTIONS, ...options })
  if (result.ok) throw new Error('loaded, although it should not')
  return result.diagnostics
}

/** `gate.yaml` of the sample with guards added, written as YAML flow or block text. */
export const gateWith = (...guards: string[]): string =>
  `${GATE}guards:\n${guards.map((guard) => `  - ${guard.trim().replaceAll('\n', '\n    ')}\n`).join('')}`
