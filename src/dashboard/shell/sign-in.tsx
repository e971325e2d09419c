import { useSignal } from '@preact/signals'
import { call, type Failure, session } from '../data/api.ts'
import { Field } from '../parts/dialog.tsx'
import { Problem } from '../parts/states.tsx'

export function SignIn() {
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
