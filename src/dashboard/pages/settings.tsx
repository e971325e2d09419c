import { Link, useSearchParams } from 'wouter-preact'
import { hasRole } from '../data/api.ts'
import { GateFacts } from '../settings/gate.tsx'
import { Keys } from '../settings/keys.tsx'
import { Me } from '../settings/me.tsx'
import { Webhooks } from '../settings/webhooks.tsx'

const TABS = [
  { name: 'keys', label: 'API keys', Shown: Keys },
  { name: 'gate', label: 'This gate', Shown: GateFacts },
  { name: 'webhooks', label: 'Webhooks', Shown: Webhooks },
  { name: 'me', label: 'Me', Shown: Me },
] as const

/** Keys, what this gate is, where its notices go, and how this browser shows it. */
export function Settings() {
  const [params] = useSearchParams()
  const tab = params.get('tab') ?? (hasRole('admin') ? 'keys' : 'me')
  const chosen = TABS.find(({ name }) => name === tab) ?? TABS[0]
  return (
    <>
      <div role="navigation" aria-label="Settings" class="row tabs">
        {TABS.map(({ name, label }) => (
          <Link
            key={name}
            href={`/settings?tab=${name}`}
            aria-current={chosen.name === name ? 'page' : undefined}
          >
            {label}
          </Link>
        ))}
      </div>
      <chosen.Shown key={chosen.name} />
    </>
  )
}
