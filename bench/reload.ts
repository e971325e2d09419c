// Compile and swap 50 Rego files of 100 lines each while requests keep coming: how long a reload takes, how
// long the slowest request waited, and how many failed; and before that the same requests without any reload, which is
// what the waits are to be compared with. Gate and caller share this process, so a stall of the gate's event
// loop shows in full. On PostgreSQL where it is installed, on the embedded database otherwise.
import fs from 'node:fs'
import path from 'node:path'
import { postgresBin, PostgresServer } from '../test/support/database.ts'
import { TestGate } from '../test/support/gate.ts'
import { GATE } from '../test/support/policies.ts'
import { reply } from '../test/support/upstream.ts'

const FILES = 50
const RULES_PER_FILE = 25
const ROUNDS = 8
const CALLERS = 4
const QUIET_MS = 4_000

const server = postgresBin() ? await PostgresServer.start() : undefined
const gate = await TestGate.start({
  policies: sources(0),
  env: { LOG_LEVEL: 'warn' },
  ...(server ? { databaseUrl: await server.createDatabase() } : {}),
})
gate.upstream.behave = (_effect, res) => reply(res, 200, {})
const key = await gate.agent('bench')
const waits: number[] = []
let failed = 0
let stop = false
const callers = Array.from({ length: CALLERS }, call)
await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
const quiet = waits.splice(0)
const times: number[] = []
for (let round = 1; round <= ROUNDS; round++) {
  write(sources(round))
  const startedAt = performance.now()
  const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
  if (status !== 200) throw new Error(text)
  times.push(performance.now() - startedAt)
}
stop = true
await Promise.all(callers)
const lines = Object.values(sources(1)).join('\n').split('\n').length
console.log(`${FILES} files, ${lines} lines, reloaded ${ROUNDS} times under ${CALLERS} callers`)
console.log(
  `before    ${quiet.length} requests, p50 ${at(quiet, 0.5)} ms  p99 ${at(quiet, 0.99)} ms  max ${at(quiet, 1)} ms`,
)
console.log(`reload    p50 ${at(times, 0.5)} ms  max ${at(times, 1)} ms`)
console.log(
  `requests  ${waits.length}, failed ${failed}, p99 ${at(waits, 0.99)} ms  max ${at(waits, 1)} ms`,
)
await gate.stop()
server?.stop()
process.exit(0)

async function call(): Promise<void> {
  while (!stop) {
    const startedAt = performance.now()
    const { status } = await gate.act(key, { tool: 'items.list', args: {}, dry_run: true })
    waits.push(performance.now() - startedAt)
    if (status !== 200) failed++
  }
}

function sources(round: number): Record<string, string> {
  const files: Record<string, string> = { 'gate.yaml': GATE }
  for (let file = 0; file < FILES; file++) {
    const rules = Array.from(
      { length: RULES_PER_FILE },
      (_, n) => `deny contains "rule ${file}.${n} of round ${round}" if {
  input.action.name == "never.${file}.${n}"
  count(input.subject.properties.roles) > ${n}
}`,
    )
    files[`part-${file}.rego`] = `package agent\n\n${rules.join('\n')}\n`
  }
  return files
}

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(gate.policyDir, name), text)
  }
}

function at(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0)
}
