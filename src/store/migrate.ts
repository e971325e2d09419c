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
  for (const migration of readMigrations()) await apply(pool, migration)
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
