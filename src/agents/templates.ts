import { newId } from '../lib/ids.ts'
import { canonicalJson } from '../lib/canonical.ts'
import type { JsonObject } from '../model/json.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

/** One version of a blueprint for agents. Versions are never changed, only followed by the next. */
export interface Template {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly description: string
  /** JSON text: members of an agent. */
  readonly config: string
  readonly actor: string
  readonly createdAt: Date
}

const COLUMNS = columns('id, name, version, description, config, actor, created_at')

/** Adds a version: the first of a new name, or the next of a known one. */
export async function addTemplate(
  tx: Tx,
  template: {
    readonly name: string
    readonly description: string
    readonly config: JsonObject
    readonly actor: string
  },
): Promise<Template> {
  const [row] = await tx.query<Template>(
    `insert into templates (id, name, version, description, config, actor, created_at)
     select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6 from templates where name = $2
     returning ${COLUMNS}`,
    [
      newId('tpl', tx.nowMs),
      template.name,
      template.description,
      canonicalJson(template.config),
      template.actor,
      new Date(tx.nowMs),
    ],
  )
  return row as Template
}

/** A template by its id, or by its name: then this version, or the newest. */
export async function findTemplate(
  db: Db,
  idOrName: string,
  version: number | null,
): Promise<Template | undefined> {
  const [row] = await db.query<Template>(
    `select ${COLUMNS} from templates
     where (id = $1 or name = $1) and ($2::int is null or version = $2)
     order by (id = $1) desc, version desc limit 1`,
    [idOrName, version],
  )
  return row
}

/** The newest version of each template, or every version of one, by name and then newest first. */
export async function listTemplates(
  db: Db,
  filter: { readonly name: string | null; readonly after: string; readonly limit: number },
): Promise<Template[]> {
  if (filter.name !== null) {
    return db.query<Template>(
      `select ${COLUMNS} from templates where name = $1 order by version desc limit $2`,
      [filter.name, filter.limit],
    )
  }
  return db.query<Template>(
    `select distinct on (name) ${COLUMNS} from templates where name > $1
     order by name, version desc limit $2`,
    [filter.after, filter.limit],
  )
}
