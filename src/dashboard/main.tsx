import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { Router } from 'wouter-preact'
import { probe, session } from './data/api.ts'
import { Shell } from './shell/shell.tsx'
import { SignIn } from './shell/sign-in.tsx'
import './styles.css'

function App() {
  useEffect(() => void probe(), [])
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
