import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Link } from 'wouter-preact'
import { Failure, newKey } from '../data/api.ts'
import { type Seen, type Verdict, verifyRecord } from '../data/verify.ts'
import { Problem } from '../parts/states.tsx'
import { Pill } from '../parts/text.tsx'

const STORED = 'portcullis.record'

function remembered(): Seen | null {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? 'null') as Seen | null
  } catch {
    return null
  }
}

/** Reads the whole record and verifies it here. */
export function Proof() {
  const done = useSignal(0)
  const verdict = useSignal<Verdict | null>(null)
  const failure = useSignal<Failure | null>(null)
  const before = useSignal(remembered())
  useEffect(() => {
    const stop = new AbortController()
    void prove(stop.signal).catch((error: unknown) => {
      if (stop.signal.aborted) return
      failure.value =
        error instanceof Failure ? error : new Failure(0, { message: String(error) }, '')
    })
    return () => stop.abort()
  }, [])
  async function prove(signal: AbortSignal) {
    const answer = await fetch('/audit/export', { cache: 'no-store', signal })
    const id = answer.headers.get('x-request-id') ?? newKey()
    if (!answer.ok || !answer.body) throw new Failure(answer.status, {}, id)
    const { verdict: found, seen } = await verifyRecord(answer.body, before.value, (entries) => {
      done.value = entries
    })
    verdict.value = found
    if (found.integrity === 'whole') localStorage.setItem(STORED, JSON.stringify(seen))
  }
  if (!('subtle' in crypto)) return <NoCryptography />
  if (failure.value) return <Problem failure={failure.value} />
  if (!verdict.value) return <p role="status">{done.value} entries verified here so far</p>
  return <Found verdict={verdict.value} before={before.value} />
}

const NoCryptography = () => (
  <p class="problem">
    This browser has cryptography over TLS and on this machine only. Verify with{' '}
    <code>portcullis audit verify</code> in place of it.
  </p>
)

function Found({ verdict, before }: { verdict: Verdict; before: Seen | null }) {
  const { integrity, completeness, entries, signed, signedSize, head, keys, findings } = verdict
  return (
    <div class={integrity === 'broken' ? 'problem' : 'note'} role="status">
      <p>
        This browser says: integrity <Pill of={integrity} /> completeness <Pill of={completeness} />
        , {entries} entries, {signed} checkpoints whose signature holds, up to {signedSize}
      </p>
      <ul>
        {findings.map(({ seq, message }) => (
          <li key={`${seq} ${message}`}>
            {seq > 0 ? <Link href={`/audit?seq=${seq}`}>entry {seq}</Link> : null} {message}
          </li>
        ))}
      </ul>
      <p class="muted">
        Newest hash <code>{head}</code>, keys{' '}
        {keys.map((one) => (
          <code key={one}>{one} </code>
        ))}
        .{' '}
        {before
          ? `The first ${before.size} entries are compared to what this browser saw before.`
          : 'This browser saw this record for the first time: compare a key or a hash with one you keep elsewhere.'}
      </p>
    </div>
  )
}
