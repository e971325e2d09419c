import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { Router } from 'wouter-preact'
import { call, Failure, session } from './data/api.ts'
import { Shell } from './shell/shell.tsx'
import { SignIn } from './shell/sign-in.tsx'
import './styles.css'

async function whoIsIt() {
  try {
    session.value = await call('GET /ui/session')
  } catch (error) {
    if (error instanceof Failure && error.status === 401) session.value = null
  }
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
