import type { Calls } from '../client/index.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import { ask, type ClientOptions, GateRefusal, path, query } from './gate-client.ts'
import { policyFailure, policyText } from './policy-report.ts'
import { cell, listing, table, time } from './table.ts'

type Options = ClientOptions & { readonly json?: boolean }

const SHORT = 12

/** `portcullis policy log`: what became the policy, newest first. */
export async function log(options: Options & { limit: string }): Promise<void> {
  const route = query('/policy/revisions', { limit: options.limit })
  const page = await ask<Calls['GET /policy/revisions']['answer']>(options, 'GET', route)
  if (options.json) return print(JSON.stringify(page, null, 2))
  const rows = page.publications.map((one) => [
    one.revision.slice(0, SHORT),
    time(one.published_at),
    one.source,
    one.author ?? '',
    cell(one.note ?? ''),
    cell(one.files_changed.join(', ')),
  ])
  print(table(['REVISION', 'PUBLISHED', 'SOURCE', 'BY', 'NOTE', 'FILES'], rows))
}

/** `portcullis policy show`: one revision, or one of its files. */
export async function show(
  revision: string | undefined,
  options: Options & { file?: string },
): Promise<void> {
  if (options.file !== undefined) return showFile(options, revision, options.file)
  const named =
    revision ?? (await ask<Calls['GET /policy']['answer']>(options, 'GET', '/policy')).revision
  const one = await ask<Calls['GET /policy/revisions/{revision}']['answer']>(
    options,
    'GET',
    path`/policy/revisions/${named}`,
  )
  if (options.json) return print(JSON.stringify(one, null, 2))
  print(
    listing([
      ['revision', one.revision],
      ['live', one.live ? 'yes' : 'no'],
      ['files', one.files.map((file) => `${file.path} (${file.bytes} bytes)`).join('\n')],
      ['kept', one.files_kept ? '' : 'its contents are not kept any more'],
      [
        'published',
        one.publications
          .map((said) => `${time(said.published_at)} ${said.source} ${said.author ?? ''}`.trimEnd())
          .join('\n'),
      ],
    ]),
  )
}

async function showFile(options: Options, revision: string | undefined, file: string) {
  const route = query('/policy/files', { revision, path: file })
  const { files } = await ask<Calls['GET /policy/files']['answer']>(options, 'GET', route)
  const [one] = files
  process.stdout.write(
    one?.content === undefined ? Buffer.from(one?.base64 ?? '', 'base64') : visible(one.content),
  )
}

/** `portcullis policy diff`: the lines that differ, after what they mean. */
export async function diff(from: string, to: string | undefined, options: Options): Promise<void> {
  const route = query('/policy/diff', { from, to })
  const answer = await ask<Calls['GET /policy/diff']['answer']>(options, 'GET', route)
  if (options.json) return print(JSON.stringify(answer, null, 2))
  for (const { change, kind, name } of answer.meaning) say(visible(`${change} ${kind} ${name}`))
  for (const file of answer.files) {
    print(visible((file.diff ?? `${file.change} ${file.path}`).trimEnd()))
  }
}

/** `portcullis policy rollback`: back to a revision that was live. */
export async function rollback(
  revision: string,
  options: Options & { reason: string; dryRun?: boolean },
): Promise<void> {
  const { reason, dryRun = false } = options
  const route = query('/policy/rollback', { dry_run: dryRun ? 'true' : undefined })
  type Outcome = Calls['POST /policy/rollback']['answer']
  const answer = await refusedWell(ask<Outcome>(options, 'POST', route, { revision, reason }))
  if (options.json) return print(JSON.stringify(answer, null, 2))
  const { warnings, unconfirmed } = answer
  if (warnings.length > 0) say(policyText('.', warnings))
  for (const replica of unconfirmed) say(`${replica} does not decide by it yet`)
  const short = answer.revision.slice(0, SHORT)
  print(dryRun ? `${short} could be live again; nothing changed` : `${short} is live again`)
}

/** `portcullis policy publishes`: what waits for other people. */
export async function publishes(options: Options): Promise<void> {
  type Page = Calls['GET /policy/publishes']['answer']
  const page = await ask<Page>(options, 'GET', '/policy/publishes')
  if (options.json) return print(JSON.stringify(page, null, 2))
  const rows = page.publishes.map((one) => [
    one.id,
    one.status,
    one.author,
    one.revision.slice(0, SHORT),
    String(one.quorum),
    time(one.expires_at),
    cell(one.note),
  ])
  print(table(['ID', 'STATUS', 'BY', 'REVISION', 'NEEDS', 'EXPIRES', 'NOTE'], rows))
}

/** `portcullis policy approve|deny|cancel`: one vote, or the end of a publish that waits. */
export async function decide(
  choice: 'approve' | 'deny' | 'cancel',
  id: string,
  options: Options & { reason?: string },
): Promise<void> {
  const body = options.reason === undefined ? {} : { reason: options.reason }
  type Voted = Calls['POST /policy/publishes/{id}/approve']['answer']
  const route = path`/policy/publishes/${id}/${choice}`
  const answer = await refusedWell(
    ask<Pick<Voted, 'publish'> & Partial<Voted>>(options, 'POST', route, body),
  )
  if (options.json) return print(JSON.stringify(answer, null, 2))
  const { status, revision } = answer.publish
  const short = revision.slice(0, SHORT)
  print(status === 'pending' ? 'it waits for more votes' : `${status}: ${short}`)
}

/** What does not load is shown with its places. */
export async function refusedWell<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (!(error instanceof GateRefusal) || error.diagnostics.length === 0) throw error
    say(error.message)
    const failure = policyFailure('.', error.diagnostics)
    throw new CliError(EXIT.policy, failure.message)
  }
}
