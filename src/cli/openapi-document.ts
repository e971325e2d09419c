import fs from 'node:fs'
import path from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { KINDS } from '../decide/index.ts'
import { GatewayError } from '../errors.ts'
import type { Json } from '../model/json.ts'
import { importOpenApi } from '../policy/openapi/import.ts'
import type { Imported } from '../policy/openapi/imported.ts'
import { FOREIGN_BYTES_MAX, parseForeign } from '../sources/foreign.ts'
import { CliError, EXIT, visible } from './exit.ts'

const FETCH_TIMEOUT_MS = 30_000

export interface Asked {
  /** What the upstream is called; without one, after the title of the document. */
  readonly upstream?: string
  readonly only?: string
  readonly tag?: string
}

/** The tools of an OpenAPI document: of a file, a URL, or `-` for standard input. @throws CliError */
export async function importFrom(
  from: string,
  asked: Asked,
): Promise<Imported & { readonly upstream: string }> {
  const document = await documentAt(from)
  const upstream = asked.upstream ?? nameOf(document)
  if (!/^[a-z][a-z0-9_-]{0,62}$/.test(upstream)) {
    throw new CliError(EXIT.usage, '--upstream is lower-case letters, digits, `_` and `-`')
  }
  return { ...importedFrom(document, from, { ...asked, upstream }), upstream }
}

// `Swagger Petstore - OpenAPI 3.0` is `swagger-petstore`.
function nameOf(document: Json): string {
  const { info } = (document ?? {}) as { info?: { title?: unknown } }
  const words = (typeof info?.title === 'string' ? info.title : '')
    .toLowerCase()
    .replace(/\b(?:open ?api|swagger (?=\w)|v?\d[\d.]*)\b/g, ' ')
    .match(/[a-z0-9]+/g)
  const name = (words ?? []).join('-').replace(/^[^a-z]+/, '')
  return name === '' ? 'api' : name.slice(0, 32).replace(/-+$/, '')
}

function importedFrom(
  document: Json,
  from: string,
  options: Asked & { readonly upstream: string },
): Imported {
  try {
    return importOpenApi(document, {
      upstream: options.upstream,
      only: options.only,
      tag: options.tag,
      from: isUrl(from) ? from : '',
      beside: isUrl(from) || from === '-' ? () => undefined : besideOf(from),
      reserved: ownTools(),
    })
  } catch (error) {
    if (error instanceof GatewayError) throw new CliError(EXIT.usage, `${from}: ${error.message}`)
    throw error
  }
}

const isUrl = (from: string): boolean => /^https?:\/\//.test(from)

const ownTools = (): ReadonlySet<string> =>
  new Set(KINDS.protocols.flatMap(({ own }) => own?.tools ?? []).map(({ name }) => name))

async function documentAt(from: string): Promise<Json> {
  try {
    return parseForeign(await textAt(from))
  } catch (error) {
    throw new CliError(EXIT.usage, `${from}: ${visible((error as Error).message)}`)
  }
}

async function textAt(from: string): Promise<string> {
  if (from === '-') return readAll(process.stdin)
  if (!isUrl(from)) return fs.readFileSync(from, 'utf8')
  const answer = await fetch(from, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) })
  if (!answer.ok) throw new Error(`answered ${answer.status}`)
  return bounded(answer)
}

async function bounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > FOREIGN_BYTES_MAX) throw new Error(`more than ${FOREIGN_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Files in the folder of the document, links that lead out of it not among them. */
function besideOf(from: string): (file: string) => Json | undefined {
  const folder = fs.realpathSync(path.dirname(path.resolve(from)))
  return (file) => {
    try {
      const real = fs.realpathSync(path.join(folder, file))
      if (!real.startsWith(folder + path.sep)) return undefined
      return parseForeign(fs.readFileSync(real, 'utf8'))
    } catch {
      return undefined
    }
  }
}
