import type { Step } from '../rego/index.ts'
import { closest } from '../lib/suggest.ts'

/** What `input` may hold: an envelope of known members, in places anything, elsewhere single values. */
type Shape = 'open' | 'value' | { readonly [member: string]: Shape }

/** `input` of a decision, as `decide` builds it; a test compares the two. */
export const INPUT_SHAPE: Shape = {
  subject: { type: 'value', id: 'value', properties: 'open' },
  action: {
    name: 'value',
    properties: {
      args: 'open',
      effect: 'value',
      upstream: 'value',
      method: 'value',
      reason: 'value',
      cost: 'value',
      headers: 'open',
    },
  },
  resource: { type: 'value', id: 'value', properties: 'open' },
  context: 'open',
}

/** Members of `context` that the gate sets; others are the agent's own. */
const CONTEXT = ['environment', 'now_ms', 'facts']

/** A step of a reference at which there can be nothing. */
export interface Missing {
  readonly at: number
  /** What there is instead. */
  readonly known: readonly string[]
  /** The name that was meant, most likely. */
  readonly near: string | undefined
}

/** Where a reference into `input` leaves what it can hold; undefined when it does not. */
export function missingInput(steps: readonly Step[], takesInquiries: boolean): Missing | undefined {
  const [root, member] = steps
  if (takesInquiries && root?.key === 'action' && member?.key === 'properties') return undefined
  return missingContext(steps) ?? missingIn(INPUT_SHAPE, steps, 0)
}

function missingIn(shape: Shape, steps: readonly Step[], at: number): Missing | undefined {
  const step = steps[at]
  if (!step || shape === 'open') return undefined
  if (shape === 'value') return { at, known: [], near: undefined }
  const { key } = step
  if (key === undefined) {
    const tried = Object.values(shape).map((inner) => missingIn(inner, steps, at + 1))
    return tried.includes(undefined) ? undefined : tried[0]
  }
  const inner = Object.hasOwn(shape, key) ? shape[key] : undefined
  if (inner !== undefined) return missingIn(inner, steps, at + 1)
  const known = Object.keys(shape)
  return { at, known, near: closest(key, known) }
}

// An agent may send whatever it likes there, but hardly what differs by a letter from what the gate says.
function missingContext([first, second]: readonly Step[]): Missing | undefined {
  const key = second?.key
  if (first?.key !== 'context' || key === undefined || CONTEXT.includes(key)) return undefined
  const near = closest(key, CONTEXT)
  return near === undefined ? undefined : { at: 1, known: CONTEXT, near }
}
