import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Link, Redirect, Route, Switch, useLocation } from 'wouter-preact'
import { call, hasRole, heardAt, offline, probe, session } from '../data/api.ts'
import { openLive } from '../data/live.ts'
import { useEvery } from '../data/every.ts'
import { useResource } from '../data/resource.ts'
import { closeStream, link, openStream } from '../data/stream.ts'
import { Actions } from '../pages/actions.tsx'
import { Agents } from '../pages/agents.tsx'
import { Alerts } from '../pages/alerts.tsx'
import { Approvals } from '../pages/approvals.tsx'
import { Audit } from '../pages/audit.tsx'
import { Kill, StopDialog } from '../pages/kill.tsx'
import { Live } from '../pages/live.tsx'
import { Overview } from '../pages/overview.tsx'
import { Policies } from '../pages/policies.tsx'
import { Spend } from '../pages/spend.tsx'
import { Story } from '../pages/story.tsx'
import { hearKeys, letters, setLetters, step, toSearch, useKeys } from '../parts/keys.ts'
import { Lazy } from '../parts/lazy.tsx'
import { Empty } from '../parts/states.tsx'
import { Said } from '../parts/text.tsx'
import { Help } from './help.tsx'
import { PAGES, pageOf } from './pages.ts'
import { Palette } from './palette.tsx'
import { setTo } from '../parts/doing.ts'

/** Pages of one thing are called by it. */
const ONE = [
  ['/actions/', 'Action'],
  ['/agents/', 'Agent'],
] as const

const titleOf = (path: string): string =>
  ONE.find(([under]) => path.startsWith(under))?.[1] ?? pageOf(path)?.[1] ?? 'Portcullis'

/** What every page stands in: the way to the others, the state of the line, and the way to stop everything. */
export function Shell() {
  const [path] = useLocation()
  const page = pageOf(path)
  const title = titleOf(path)
  useEffect(() => {
    const leave = openLive()
    openStream()
    return () => {
      leave()
      closeStream()
    }
  }, [])
  useEffect(hearKeys, [])
  useEffect(() => {
    document.title = `${title} · Portcullis`
  }, [title])
  const helping = useSignal(false)
  useShortcuts()
  useKeys({ '?': setTo(helping, true) })
  return (
    <div class="shell">
      <Bar />
      <Away />
      <Stopped />
      <nav aria-label="Pages">
        {PAGES.map(([to, label, letter]) => (
          <Link
            key={to}
            href={to}
            aria-keyshortcuts={`g ${letter}`}
            aria-current={page?.[0] === to ? 'page' : undefined}
          >
            {label}
          </Link>
        ))}
        <button
          type="button"
          aria-pressed={letters.value}
          title="keys of one letter: g and a letter goes to a page, j and k along rows"
          onClick={() => setLetters(!letters.value)}
        >
          Letter keys
        </button>
        <button type="button" aria-keyshortcuts="?" onClick={setTo(helping, true)}>
          Keys …
        </button>
      </nav>
      <main id="main" tabIndex={-1}>
        <h1>{title}</h1>
        <Pages />
      </main>
      {helping.value ? <Help onClose={setTo(helping, false)} /> : null}
    </div>
  )
}

const PROBE_MS = 2_000
/** A line that is dead says nothing: after so long without a word the gate is asked. */
const SILENT_MS = 20_000
const SECOND_MS = 1_000

/** What the browser says of its own network. */
const CHANGES = ['offline', 'online'] as const

/** Says on every page that what it shows may be of before, and asks until the gate is there again. */
function Away() {
  const now = useSignal(Date.now())
  useEvery(PROBE_MS, offline.value, probe)
  useEvery(SILENT_MS, !offline.value, () =>
    Date.now() - heardAt.value < SILENT_MS ? undefined : probe(),
  )
  useEffect(() => {
    const ask = () => void probe()
    for (const change of CHANGES) addEventListener(change, ask)
    return () => {
      for (const change of CHANGES) removeEventListener(change, ask)
    }
  }, [])
  useEvery(SECOND_MS, offline.value, () => {
    now.value = Date.now()
  })
  if (!offline.value) return null
  const age = Math.max(0, Math.round((now.value - heardAt.value) / SECOND_MS))
  return (
    <div class="banner" role="alert">
      The gate does not answer. It was heard last {age} s ago; what stands here is of then, and
      nothing can be changed. Stopping things is tried all the same.
    </div>
  )
}

/** Says on every page that something is stopped: what does not happen then is no fault. */
function Stopped() {
  const state = useResource('stopped', () => call('GET /kill-switch'), ['kill_switch'])
  const { switches = [], known = true } = state.data.value ?? {}
  if (known && switches.length === 0) return null
  return (
    <div class="banner" role="alert">
      {known ? (
        <>
          Kill switches engaged: {switches.length}. <Link href="/kill">What is stopped</Link>
        </>
      ) : (
        'This gate does not know the state of the kill switch, and lets nothing through.'
      )}
    </div>
  )
}

function useShortcuts() {
  const [, go] = useLocation()
  const ways = PAGES.map(([to, , letter]) => [`g ${letter}`, () => go(to)] as const)
  useKeys({
    ...Object.fromEntries(ways),
    j: () => step(1),
    k: () => step(-1),
    '/': toSearch,
    Escape: () => history.back(),
  })
}

function Bar() {
  const stopping = useSignal(false)
  const finding = useSignal(false)
  const find = () => {
    finding.value = true
  }
  useKeys({ palette: find })
  const signOut = async () => {
    await call('DELETE /ui/session')
    session.value = null
  }
  return (
    <header>
      <strong>Portcullis</strong>
      <span role="status" class="muted grow">
        {offline.value ? 'offline' : link.value === 'live' ? 'live' : 'reconnecting'}
      </span>
      <button type="button" aria-keyshortcuts="Control+K Meta+K" onClick={find}>
        Go to …
      </button>
      <button
        type="button"
        class="bad"
        disabled={!hasRole('operator')}
        onClick={setTo(stopping, true)}
      >
        Stop everything
      </button>
      <span>
        <Said inline text={session.value?.name ?? ''} /> · {session.value?.role}
      </span>
      <button type="button" onClick={() => void signOut()}>
        Sign out
      </button>
      {finding.value ? <Palette onClose={setTo(finding, false)} /> : null}
      {stopping.value ? <StopDialog onClose={setTo(stopping, false)} /> : null}
    </header>
  )
}

function Pages() {
  return (
    <Switch>
      <Route path="/">
        <Overview />
      </Route>
      <Route path="/approvals">
        <Approvals />
      </Route>
      <Route path="/approvals/:id">
        {({ id }) => <Redirect to={`/approvals?id=${id}`} replace />}
      </Route>
      <Route path="/live">
        <Live />
      </Route>
      <Route path="/actions">
        <Actions />
      </Route>
      <Route path="/actions/:id">{({ id }) => <Story id={id} />}</Route>
      <Route path="/agents">
        <Agents />
      </Route>
      <Route path="/agents/:id">
        <Lazy load={async () => (await import('../agent/page.tsx')).OneAgent} />
      </Route>
      <Route path="/alerts">
        <Alerts />
      </Route>
      <Route path="/policies">
        <Policies />
      </Route>
      <Route path="/spend">
        <Spend />
      </Route>
      <Route path="/audit">
        <Audit />
      </Route>
      <Route path="/kill">
        <Kill />
      </Route>
      <Route path="/models">
        <Lazy load={async () => (await import('../pages/models.tsx')).Models} />
      </Route>
      <Route path="/mcp">
        <Lazy load={async () => (await import('../pages/mcp.tsx')).Mcp} />
      </Route>
      <Route path="/settings">
        <Lazy load={async () => (await import('../pages/settings.tsx')).Settings} />
      </Route>
      <Route>
        <Empty>There is no such page.</Empty>
      </Route>
    </Switch>
  )
}
