import type { ClientBase } from 'pg'
import type { Config } from '../config.ts'

const NAME = 'portcullis_doctor'
/** SQLSTATE of a statement that the user may not run. */
export const NOT_PERMITTED = '42501'

/** What a start makes in a database, tried and taken back: a table in `public`, and a schema for the queue. */
export async function mayCreate(client: ClientBase): Promise<boolean> {
  try {
    await client.query(`begin; create table public.${NAME} (n int); create schema ${NAME}`)
    return true
  } catch (error) {
    if ((error as { code?: string }).code === NOT_PERMITTED) return false
    throw error
  } finally {
    await client.query('rollback')
  }
}

/** What to do when it may not. */
export function noCreate({ databaseUrl }: Pick<Config, 'databaseUrl'>): string {
  const { username = '', pathname = '' } = databaseUrl ? new URL(databaseUrl) : {}
  const [user, database] = [username || 'USER', pathname.slice(1) || 'DATABASE']
  return `the user ${user} may not create tables and schemas in the database; as its owner: GRANT CREATE ON DATABASE ${database} TO ${user}; GRANT CREATE ON SCHEMA public TO ${user}`
}
