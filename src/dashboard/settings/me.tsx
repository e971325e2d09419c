import { call, session } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Choice } from '../parts/dialog.tsx'
import { useDoing } from '../parts/doing.ts'
import { letters, setLetters } from '../parts/keys.ts'
import { Part, Problem } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { setTheme, theme, THEMES } from '../parts/theme.ts'

/** Who is signed in, and how this browser shows things to them. */
export function Me() {
  return (
    <>
      <Who />
      <section aria-label="This browser">
        <h2>This browser</h2>
        <Looks />
      </section>
      <SignOut />
    </>
  )
}

function Who() {
  const who = useResource('whoami', () => call('GET /whoami'), ['key'])
  const until = session.value?.expires_at
  return (
    <Part label="Who is signed in" of={who}>
      {(me) => (
        <dl>
          <dt>name</dt>
          <dd>
            <Said inline text={me.name} />
          </dd>
          <dt>role</dt>
          <dd>
            <Pill of={me.role} />
          </dd>
          <dt>key</dt>
          <dd>
            <code>{me.key_id}</code>
          </dd>
          <dt>signed in</dt>
          <dd>
            {until ? (
              <>
                until <When exact at={until} />
              </>
            ) : (
              'with a key'
            )}
          </dd>
          <dt>time zone</dt>
          <dd>{new Intl.DateTimeFormat().resolvedOptions().timeZone}</dd>
        </dl>
      )}
    </Part>
  )
}

const NAMES = { system: 'as the system has it', light: 'light', dark: 'dark' } as const

function Looks() {
  return (
    <>
      <div class="row filters">
        <Choice
          label="Theme"
          value={theme.value}
          options={THEMES.map((one) => [one, NAMES[one]])}
          onChoose={(chosen) => setTheme(THEMES.find((one) => one === chosen) ?? 'system')}
        />
      </div>
      <label>
        <input
          type="checkbox"
          checked={letters.value}
          onChange={(event) => setLetters(event.currentTarget.checked)}
        />{' '}
        Keys of one letter do something
      </label>
      <p class="muted">Kept in this browser, for whoever uses it.</p>
    </>
  )
}

function SignOut() {
  const { failure, run } = useDoing()
  const signOut = (everywhere: boolean) =>
    run(async () => {
      await call('DELETE /ui/session', { query: everywhere ? { everywhere } : {} })
      session.value = null
    })
  return (
    <section aria-label="Signing out">
      <h2>Signing out</h2>
      <div class="row">
        <button type="button" onClick={() => void signOut(false)}>
          Sign out here
        </button>
        <button type="button" onClick={() => void signOut(true)}>
          Sign out everywhere
        </button>
      </div>
      <p class="muted">
        Everywhere: every session of this name and role, in every browser. The keys go on working.
      </p>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </section>
  )
}
