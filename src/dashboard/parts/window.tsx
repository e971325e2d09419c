import { useComputed, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

// A long list of which the page holds only what is seen, and a few rows around it. Rows are of one height, which is a
// second line more where the window is narrow.

const WIDE_PX = 34
const NARROW_PX = 58
const AROUND = 8
const NARROW = '(max-width: 720px)'

interface Props<T> {
  readonly of: readonly T[]
  readonly keyOf: (one: T) => string | number
  readonly label: string
  /** Told how many rows lie above what is seen. */
  readonly onTop?: (rows: number) => void
  readonly children: (one: T) => ComponentChildren
}

export function Windowed<T>({ of, keyOf, label, onTop, children }: Props<T>) {
  const box = useRef<HTMLDivElement>(null)
  const narrow = useSignal(matchMedia(NARROW).matches)
  const top = useSignal(0)
  const height = useSignal(600)
  const px = useComputed(() => (narrow.value ? NARROW_PX : WIDE_PX))
  useEffect(() => {
    const media = matchMedia(NARROW)
    const look = () => {
      narrow.value = media.matches
      height.value = box.current?.clientHeight ?? height.value
    }
    look()
    addEventListener('resize', look)
    return () => removeEventListener('resize', look)
  }, [])
  const first = Math.max(0, Math.floor(top.value / px.value) - AROUND)
  const shown = of.slice(first, first + Math.ceil(height.value / px.value) + 2 * AROUND)
  return (
    <div
      class="window"
      ref={box}
      role="region"
      aria-label={label}
      tabIndex={0}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop
        onTop?.(Math.floor(top.value / px.value))
      }}
    >
      <ol style={{ height: of.length * px.value }}>
        {shown.map((one, n) => (
          <li
            key={keyOf(one)}
            aria-setsize={of.length}
            aria-posinset={first + n + 1}
            style={{ top: (first + n) * px.value, height: px.value }}
          >
            {children(one)}
          </li>
        ))}
      </ol>
    </div>
  )
}
