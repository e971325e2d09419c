import fs from 'node:fs'
import path from 'node:path'
import type { Pool, PoolClient } from 'pg'
import { sha256 } from '../lib/canonical.ts'

const LOCK_KEY = 7_164_210 // any number, the same in every replica

// `if not exists` alone can still collide when two sessions create the table at the same moment.
const BOOTSTRAP = `begin;
select pg_advisory_xact_lock(${LOCK_KEY});
create table if not exists schema_migrations
  (name text primary key, hash text not null, at timestamptz not null default now());
commit`

interface Migration {
  readonly name: string
  readonly sql: string
  readonly hash: string
}

/**
 * Brings the schema up to date. Several replicas may start at once: each file runs in a
 * transaction that first waits for the one before it (a transaction-level lock, which the
 * embedded database honours too). A file that changed after it ran is refused.
 */
export async function migrate(pool: Pool): Promise<void> {
  await pool.query(BOOTSTRAP)
  const migrations = readMigrations()
  await assertNotNewer(pool, migrations)
  for (const migration of migrations) await apply(pool, migration)
}

/** @throws Error with code `DATABASE_NEWER`; a database without a schema is as well */
export async function assertKnown(pool: Pool): Promise<void> {
  const { rows } = await pool.query("select to_regclass('schema_migrations') is not null as has")
  if ((rows as readonly { has: boolean }[])[0]?.has) await assertNotNewer(pool, readMigrations())
}

/** `code` of the error of a gate that is older than its database. */
export const DATABASE_NEWER = 'DATABASE_NEWER'

// An older gate would leave out of the record what it does not know of, and write rows that a newer one misreads.
async function assertNotNewer(pool: Pool, known: readonly Migration[]): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    'select name from schema_migrations where name <> all($1) order by name desc limit 1',
    [known.map(({ name }) => name)],
  )
  const [newer] = rows
  if (!newer) return
  const message = `a newer gate has worked on this database (${newer.name}); start that version, or restore the backup from before the upgrade`
  throw Object.assign(new Error(message), { code: DATABASE_NEWER })
}

function readMigrations(): Migration[] {
  const dir = path.join(import.meta.dirname, 'migrations')
  return fs
    .readdirSync(dir)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => {
      const sql = fs.readFileSync(path.join(dir, name), 'utf8')
      return { name, sql, hash: sha256(sql) }
    })
}

async function apply(pool: Pool, migration: Migration): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(`select pg_advisory_xact_lock(${LOCK_KEY})`)
    if (!(await isApplied(client, migration))) await run(client, migration)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  } finally {
    client.release()
  }
}

async function isApplied(client: PoolClient, migration: Migration): Promise<boolean> {
  const { rows } = await client.query<{ hash: string }>(
    'select hash from schema_migrations where name = $1',
    [migration.name],
  )
  const [row] = rows
  if (row && row.hash !== migration.hash) {
    throw new Error(`migration ${migration.name} changed after it was applied to this database`)
  }
  return row !== undefined
}

async function run(client: PoolClient, migration: Migration): Promise<void> {
  try {
    await client.query(migration.sql)
  } catch (error) {
    throw new Error(`migration ${migration.name}, ${place(migration.sql, error)}`, { cause: error })
  }
  await client.query('insert into schema_migrations (name, hash) values ($1, $2)', [
    migration.name,
    migration.hash,
  ])
}

function place(sql: string, error: unknown): string {
  const { position, message } = error as { position?: string; message: string }
  if (!position) return message
  return `line ${sql.slice(0, Number(position)).split('\n').length}: ${message}`
}
