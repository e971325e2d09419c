import type { Calls } from '../client/index.ts'
import { didYouMean } from '../lib/suggest.ts'
import { CliError, EXIT, print, visible } from './exit.ts'
import { ask, call, type ClientOptions, path } from './gate-client.ts'

/** `portcullis keys list`: one a line, columns parted by tabs. */
export async function listKeys(options: ClientOptions & { json?: boolean }): Promise<void> {
  const answer = await ask<Calls['GET /api/v1/keys']['answer']>(options, 'GET', '/api/v1/keys')
  if (options.json) return print(JSON.stringify(answer, null, 2))
  for (const { id, role, name, revoked_at } of answer.keys) {
    print(visible([id, role, name, revoked_at ? 'revoked' : 'live'].join('\t')))
  }
}

/** `portcullis keys create`: prints the key alone. */
export async function createKey(
  options: ClientOptions & { role: string; name: string; agent?: string },
): Promise<void> {
  const { role, name, agent } = options
  const answer = await ask<{ key: string | null }>(options, 'POST', '/api/v1/keys', {
    role,
    name,
    ...(agent ? { agent } : {}),
  })
  print(answer.key ?? '')
}

/** `portcullis keys revoke`: by its id, or by the name of its holder where that is one key. */
export async function revokeKey(given: string, options: ClientOptions): Promise<void> {
  const id = given.startsWith('key_') ? given : await idOf(given, options)
  await call(options, 'DELETE', path`/api/v1/keys/${id}`)
}

async function idOf(name: string, options: ClientOptions): Promise<string> {
  const { keys } = await ask<Calls['GET /api/v1/keys']['answer']>(options, 'GET', '/api/v1/keys')
  const live = keys.filter(({ revoked_at }) => revoked_at === null)
  const [one, ...others] = live.filter((key) => key.name === name)
  if (one && others.length === 0) return one.id
  const names = live.map((key) => key.name)
  const problem = one
    ? `${others.length + 1} live keys are named \`${name}\`; give an id of \`portcullis keys list\``
    : `no live key is named \`${name}\`; ${didYouMean(name, names) ?? '`portcullis keys list` shows them'}`
  throw new CliError(EXIT.internal, visible(problem))
}
