import pg from 'pg'
import type { ClientConfig } from 'pg'
import type { MessagePort } from 'node:worker_threads'
import { PortStream } from './embedded/port-stream.ts'
import { Session } from './session.ts'

/** How a thread gets to the database: an address, or a port that was opened for it. */
export type Reach = { readonly connectionString: string } | { readonly port: MessagePort }

/** Longer than any page of a list takes. */
const STATEMENT_MS = 30_000

// 64-bit integers arrive as bigint; pg-boss, which shares the driver, expects its defaults.
export const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 && format !== 'binary'
      ? BigInt
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

/** A connection from another thread. */
export function sessionOver(reach: Reach, name: string): Session {
  return new Session({ ...configOf(reach), application_name: name, types }, STATEMENT_MS)
}

function configOf(reach: Reach): ClientConfig {
  if ('connectionString' in reach) return { ...reach, keepAlive: true }
  const { port } = reach
  return {
    user: 'postgres',
    database: 'postgres',
    host: 'embedded',
    ssl: false,
    stream: () => new PortStream(() => port),
  }
}
