import type { Json, JsonObject } from '../model/json.ts'
import type { FileArg } from '../model/request.ts'
import type { HttpCallRules } from '../model/tool.ts'
import { isObject } from './pointer.ts'

const FILENAME_CHARS_MAX = 255
export const MEDIA_TYPE = /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/

/** What an arg that is declared as `type: string, format: binary` may be: the file as policies see it. */
export const FILE_SCHEMA: JsonObject = Object.freeze({
  type: 'object',
  properties: {
    filename: { type: ['string', 'null'], maxLength: FILENAME_CHARS_MAX },
    content_type: { type: 'string', maxLength: 200 },
    bytes: { type: 'integer', minimum: 0 },
    sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
  },
  required: ['filename', 'content_type', 'bytes', 'sha256'],
  additionalProperties: false,
})

/** Whether a schema of an arg says that it is a file. */
export const isFileSchema = (schema: Json | undefined): boolean =>
  isObject(schema) && schema['type'] === 'string' && schema['format'] === 'binary'

/** The args schema of a call with files: each of them as policies see it, and which args they are. */
export function withFiles(schema: JsonObject): {
  readonly schema: JsonObject
  readonly files: readonly string[]
} {
  const { properties } = schema
  if (!isObject(properties)) return { schema, files: [] }
  const files: string[] = []
  const changed = Object.entries(properties).map(([name, one]): [string, Json] => {
    const items = isObject(one) ? one['items'] : undefined
    if (!isFileSchema(one) && !isFileSchema(items)) return [name, one]
    files.push(name)
    if (isFileSchema(one)) return [name, { ...FILE_SCHEMA }]
    return [name, { ...(one as JsonObject), items: { ...FILE_SCHEMA } }]
  })
  return { schema: { ...schema, properties: Object.fromEntries(changed) }, files }
}

/** The files among the args of a call, in the order of the args. */
export function filesIn({ files }: HttpCallRules, args: JsonObject): readonly NamedFile[] {
  return files.flatMap((arg) =>
    [(Object.hasOwn(args, arg) ? args[arg] : null) ?? []].flat().flatMap((value) => {
      const file = asFile(value)
      return file ? [{ arg, file }] : []
    }),
  )
}

export interface NamedFile {
  readonly arg: string
  readonly file: FileArg
}

/** A value as the file it describes; undefined where it describes none. */
export function asFile(value: Json | undefined): FileArg | undefined {
  if (!isObject(value)) return undefined
  const { filename = null, content_type: type, bytes, sha256 } = value
  const isNamed = filename === null || isFilename(filename)
  if (!isNamed || typeof type !== 'string' || !MEDIA_TYPE.test(type)) return undefined
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) return undefined
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  return { filename, content_type: type, bytes, sha256 }
}

/** Whether it can be written into a header, and into nothing else. */
export const isFilename = (name: Json): name is string =>
  typeof name === 'string' &&
  name !== '' &&
  name.length <= FILENAME_CHARS_MAX &&
  name.isWellFormed() &&
  !/\p{Cc}/u.test(name)
