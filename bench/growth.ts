// How much disk the record takes: actions through a gate on PostgreSQL, and what each table grew by, said per million.
//   npm run bench:growth [actions]
import fs from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { PostgresServer } from '../test/support/database.ts'
import { scratch } from '../test/support/scratch.ts'
import { TestGate } from '../test/support/gate.ts'
import { reply, TestUpstream } from '../test/support/upstream.ts'

const ACTIONS = Number(process.argv[2] ?? 20_000)
const AT_ONCE = 64
const MILLION = 1_000_000
/** A note as a support agent writes one. */
const NOTE =
  'The reset link had expired; a new one was sent and the customer confirmed that it works. '
const ANSWER = { id: 'i-1', status: 'resolved', priority: 'normal', assignee: null, note: NOTE }

const TABLES = `
  select coalesce(parent.relname, c.relname) as name, sum(pg_total_relation_size(c.oid))::float8 as bytes
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
  left join pg_inherits i on i.inhrelid = c.oid
  left join pg_class parent on parent.oid = i.inhparent
  where c.relkind = 'r' group by 1`

async function sizes(client: pg.Client): Promise<Map<string, number>> {
  await client.query('vacuum')
  const { rows } = await client.query<{ name: string; bytes: number }>(TABLES)
  return new Map(rows.map(({ name, bytes }) => [name, bytes]))
}

async function many(count: number, act: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let n = next++; n < count; n = next++) await act(n)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

const line = (name: string, bytes: number, count: number): void => {
  const mib = ((bytes / count) * MILLION) / (1 << 20)
  process.stdout.write(
    `${name.padEnd(24)} ${Math.round(bytes / count)} bytes each, ${Math.round(mib)} MiB per million\n`,
  )
}

const fileBytes = (dataDir: string, name: string): number =>
  ['', '.old'].reduce((sum, end) => {
    const file = path.join(dataDir, `${name}${end}`)
    return sum + (fs.existsSync(file) ? fs.statSync(file).size : 0)
  }, 0)

const server = await PostgresServer.start()
const databaseUrl = await server.createDatabase()
const upstream = await TestUpstream.start()
upstream.behave = (_, res) => reply(res, 200, ANSWER)
const gate = await TestGate.start({ databaseUrl, dataDir: scratch('growth'), upstream })
const client = new pg.Client({ connectionString: databaseUrl })
await client.connect()
const key = await gate.agent('worker')
const before = await sizes(client)
const logged = () => client.query<{ at: string }>('select pg_current_wal_lsn() as at')
const logBefore = await logged()
const startedAt = performance.now()
await many(ACTIONS, async (n) => {
  const { status, text } = await gate.act(key, {
    tool: 'items.update',
    args: { id: `i-${n}`, note: NOTE },
    reason: 'answered',
  })
  if (status !== 200) throw new Error(text)
})
const seconds = (performance.now() - startedAt) / 1000
const wal = await client.query<{ bytes: number }>(
  'select (pg_current_wal_lsn() - $1::pg_lsn)::float8 as bytes',
  [logBefore.rows[0]?.at],
)
const after = await sizes(client)
process.stdout.write(`${ACTIONS} actions, ${Math.round(ACTIONS / seconds)} a second\n`)
let total = 0
for (const [name, bytes] of [...after].sort((a, b) => b[1] - a[1])) {
  const grown = bytes - (before.get(name) ?? 0)
  total += grown
  if (grown / ACTIONS >= 1) line(name, grown, ACTIONS)
}
line('together', total, ACTIONS)
line('write-ahead log', wal.rows[0]?.bytes ?? 0, ACTIONS)
const checkpoints = fileBytes(gate.dataDir, 'checkpoints.jsonl')
process.stdout.write(
  `checkpoints.jsonl        ${Math.round(checkpoints / seconds)} bytes a second of activity, 16 MiB at most\n`,
)
await gate.stop()
await client.end()
await upstream.stop()
server.stop()
process.exit(0)
