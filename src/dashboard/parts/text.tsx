import { type ComponentChildren, render } from 'preact'

// What an agent wrote may pretend: characters that are not seen, or that turn the direction of what follows. They are
// shown as what they are, and the rest is text and never anything else.

/** A character that is not seen, or that turns the direction of what follows. */
export const HIDDEN =
  /(?![\n\t])\p{Cc}|\p{Cf}|\p{Cs}|\p{Co}|\p{Variation_Selector}|\u115f|\u1160|\u3164|\uffa0/u
const LINES = /[\n\t]/

/** Text of somebody else, with every character that cannot be seen marked. `inline` marks line ends as well. */
export function Said({ text, inline = false }: { text: string; inline?: boolean }) {
  return <bdi>{marked(text, inline)}</bdi>
}

/** The same, for a part of the page that is not Preact's. */
export function saidElement(text: string, inline = false): HTMLElement {
  const at = document.createElement('span')
  render(<Said text={text} inline={inline} />, at)
  return at
}

function marked(text: string, inline: boolean): ComponentChildren[] {
  const parts: ComponentChildren[] = []
  let plain = ''
  for (const char of text) {
    const isHidden = HIDDEN.test(char) || (inline && LINES.test(char))
    if (!isHidden) {
      plain += char
      continue
    }
    parts.push(plain, <Mark char={char} />)
    plain = ''
  }
  return [...parts, plain]
}

function Mark({ char }: { char: string }) {
  const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return (
    <span class="hidden-char" title="a character that is not seen">
      U+{code}
    </span>
  )
}

/** What a row of a table is about, as somebody wrote it. */
export const RowHead = ({ text }: { text: string }) => (
  <th scope="row">
    <Said inline text={text} />
  </th>
)

/** Any JSON, as text. */
export function Shown({ value, label }: { value: unknown; label: string }) {
  return (
    <pre tabIndex={0} aria-label={label} role="region">
      <Said text={typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? '')} />
    </pre>
  )
}

const WORDS: Readonly<Record<string, string>> = {
  allow: 'ok',
  succeeded: 'ok',
  approved: 'ok',
  active: 'ok',
  ok: 'ok',
  ready: 'ok',
  whole: 'ok',
  'not ready': 'bad',
  stale: 'bad',
  passed: 'ok',
  approve: 'ok',
  deny: 'bad',
  error: 'bad',
  warning: 'warn',
  denied: 'bad',
  failed: 'bad',
  expired: 'bad',
  broken: 'bad',
  irreversible: 'bad',
  stopped: 'bad',
  failing: 'bad',
  delivered: 'ok',
  waiting: 'warn',
  sending: 'warn',
  retrying: 'warn',
  revoked: 'bad',
  pinned: 'ok',
  changed: 'bad',
  not_listed: 'warn',
  require_approval: 'warn',
  held: 'warn',
  pending: 'warn',
  paused: 'warn',
  indeterminate: 'warn',
  executing: 'warn',
  open: 'warn',
  depends: 'warn',
  write: 'warn',
}

/** A state in a word, coloured as well. */
export const Pill = ({ of }: { of: string }) => (
  <span class={`pill ${WORDS[of] ?? ''}`}>{of.replaceAll('_', ' ')}</span>
)

const TIME = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
  timeZoneName: 'short',
})
const UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const

export function span(ms: number): string {
  const seconds = Math.abs(Math.round(ms / 1000))
  const [size, unit] = UNITS.find(([one]) => seconds >= one) ?? ([1, 's'] as const)
  return `${Math.floor(seconds / size)} ${unit}`
}

/** When, as somebody would say it; the exact time is its title. */
export function When({ at, exact = false }: { at: string; exact?: boolean }) {
  const date = new Date(at)
  const text = TIME.format(date)
  const ms = date.getTime() - Date.now()
  return (
    <time dateTime={at} title={text}>
      {exact ? text : ms > 0 ? `in ${span(ms)}` : `${span(ms)} ago`}
    </time>
  )
}
