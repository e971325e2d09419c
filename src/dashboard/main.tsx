import { useSignal } from '@preact/signals'
import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { Link, Redirect, Route, Router, Switch, useLocation } from 'wouter-preact'
import { call, Failure, hasRole, offline, session } from './data/api.ts'
import { closeStream, link, openStream } from './data/stream.ts'
import { Actions } from './pages/actions.tsx'
import { Agents } from './pages/agents.tsx'
import { Alerts } from './pages/alerts.tsx'
import { Approvals } from './pages/approvals.tsx'
import { Kill, StopDialog } from './pages/kill.tsx'
import { Story } from './pages/story.tsx'
import { Empty, Problem } from './parts/states.tsx'
import { Field } from './parts/dialog.tsx'
import { Said } from './parts/text.tsx'
import './styles.css'

const PAGES = [
  ['/approvals', 'Approvals'],
  ['/actions', 'Actions'],
  ['/agents', 'Agents'],
  ['/alerts', 'Alerts'],
  ['/kill', 'Kill switch'],
] as const

async function whoIsIt() {
  try {
    session.value = await call('GET /ui/session')
  } catch (error) {
    if (error instanceof Failure && error.status === 401) session.value = null
  }
}

function SignIn() {
  const key = useSignal('')
  const failure = useSignal<Failure | undefined>(undefined)
  const submit = async (event: Event) => {
    event.preventDefault()
    try {
      session.value = await call('POST /ui/session', { body: { key: key.value } })
      key.value = ''
    } catch (error) {
      failure.value = error as Failure
    }
  }
  return (
    <main id="main" class="sign-in">
      <h1>Portcullis</h1>
      <form onSubmit={(event) => void submit(event)}>
        <Field label="API key">
          <input
            type="password"
            autoComplete="off"
            required
            value={key.value}
            onInput={(event) => {
              key.value = event.currentTarget.value
            }}
          />
        </Field>
        <p class="muted">
          One of role observer, approver, operator or admin. The first admin's is in{' '}
          <code>admin.key</code> of the gate's data directory.
        </p>
        <button type="submit" class="main">
          Sign in
        </button>
      </form>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </main>
  )
}

function Shell() {
  const [path] = useLocation()
  const stopping = useSignal(false)
  const title = path.startsWith('/actions/')
    ? 'Action'
    : (PAGES.find(([to]) => path.startsWith(to))?.[1] ?? 'Portcullis')
  useEffect(() => {
    openStream()
    return closeStream
  }, [])
  useEffect(() => {
    document.title = `${title} · Portcullis`
  }, [title])
  const signOut = async () => {
    await call('DELETE /ui/session')
    session.value = null
  }
  return (
    <>
      <header>
        <nav aria-label="Pages">
          {PAGES.map(([to, label]) => (
            <Link key={to} href={to} aria-current={path.startsWith(to) ? 'page' : undefined}>
              {label}
            </Link>
          ))}
        </nav>
        <span role="status" class="muted">
          {offline.value ? 'offline' : link.value === 'live' ? 'live' : 'reconnecting'}
        </span>
        <button
          type="button"
          class="bad"
          disabled={!hasRole('operator')}
          onClick={() => {
            stopping.value = true
          }}
        >
          Stop everything
        </button>
        <span>
          <Said inline text={session.value?.name ?? ''} /> · {session.value?.role}
        </span>
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      </header>
      <main id="main">
        <h1>{title}</h1>
        <Switch>
          <Route path="/">
            <Redirect to="/approvals" replace />
          </Route>
          <Route path="/approvals">
            <Approvals />
          </Route>
          <Route path="/approvals/:id">
            {({ id }) => <Redirect to={`/approvals?id=${id}`} replace />}
          </Route>
          <Route path="/actions">
            <Actions />
          </Route>
          <Route path="/agents">
            <Agents />
          </Route>
          <Route path="/alerts">
            <Alerts />
          </Route>
          <Route path="/actions/:id">{({ id }) => <Story id={id} />}</Route>
          <Route path="/kill">
            <Kill />
          </Route>
          <Route>
            <Empty>There is no such page.</Empty>
          </Route>
        </Switch>
      </main>
      {stopping.value ? (
        <StopDialog
          onClose={() => {
            stopping.value = false
          }}
        />
      ) : null}
    </>
  )
}

function App() {
  useEffect(() => void whoIsIt(), [])
  if (session.value === undefined)
    return <div class="skeleton" role="status" aria-label="loading" />
  return session.value ? (
    <Router base="/ui">
      <Shell />
    </Router>
  ) : (
    <SignIn />
  )
}

render(<App />, document.getElementById('app') as HTMLElement)
