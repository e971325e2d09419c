import { GatewayError } from '../errors.ts'

const SEGMENT_LENGTH_MAX = 256

// What some upstream may take for a separator, an escape or the end of the path.
const STRUCTURAL = /[/\\%;?#]/
// Look-alikes of `/` and `\` that NFKC leaves alone but "best fit" conversions do not.
const LOOKALIKE = /[\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9]/
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

/**
 * A path parameter's value as text of one path segment that stays one, however often the upstream
 * decodes it. So everything that could become a separator, a dot segment or an escape is refused,
 * rather than encoded. With `slash` a value may be several such texts, and what parts them is escaped.
 * @throws GatewayError invalid_request
 */
export function encodeSegment(name: string, value: string, slash = false): string {
  if (slash)
    return value
      .split('/')
      .map((part) => encodeSegment(name, part))
      .join('%2F')
  const problem = segmentProblem(value) ?? segmentProblem(value.normalize('NFKC'))
  if (problem === undefined) return encodeURIComponent(value)
  throw new GatewayError('invalid_request', `path parameter \`${name}\` ${problem}`)
}

function segmentProblem(value: string): string | undefined {
  if (value === '') return 'is empty'
  if (value.length > SEGMENT_LENGTH_MAX) return `is longer than ${SEGMENT_LENGTH_MAX}`
  if (INVISIBLE.test(value)) return 'has an invisible or unassigned character'
  if (STRUCTURAL.test(value) || LOOKALIKE.test(value)) return 'has a character that paths reserve'
  if (/^[.\s]*$/.test(value)) return 'is a dot segment'
  return value.trim() === value ? undefined : 'starts or ends with white space'
}
