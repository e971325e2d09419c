// Decisions for other enforcement points: OPA's data API and AuthZEN's evaluation, each with its durable entry, beside an
// Express server that parses JSON and answers a constant. Each in turn for a few seconds, round after round; ratios are of
// one round. CPU of the gate is per request, from /proc.
//
//   npm run bench:decisions [-- --rounds 4 --seconds 3]
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { cpuUs } from './cpu.ts'
import { databases, run, startProcess, writeBenchPolicies } from './support.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '3' },
  },
})
const CONNECTIONS = 64
const PEP = 'key-of-the-bench'
const REGO = `# METADATA
# entrypoint: true
package authz

default allow := false

allow if {
	input.user in data.readers
	input.method == "GET"
}
`
const AGENT = `package agent

allow if {
	input.action.name == "read"
	input.subject.id in data.readers
}
`
const OPA_INPUT = { user: 'alice', method: 'GET', path: ['records', 'r-1'] }
const QUESTION = {
  subject: { type: 'user', id: 'alice' },
  action: { name: 'read' },
  resource: { type: 'record', id: 'r-1' },
}

const policyDir = writeBenchPolicies()
fs.mkdirSync(path.join(policyDir, 'data'))
fs.writeFileSync(path.join(policyDir, 'authz.rego'), REGO)
fs.writeFileSync(path.join(policyDir, 'agent.rego'), AGENT)
fs.writeFileSync(path.join(policyDir, 'data', 'readers.json'), '["alice"]')
fs.appendFileSync(
  path.join(policyDir, 'gate.yaml'),
  'decision_api: { actions: { read: { resource_types: [record] } } }\n',
)

const bare = await startProcess('bare-proxy-process.mjs', { UPSTREAM: 'http://127.0.0.1:9' })
const constant = { name: 'constant', url: `${bare.url}constant`, body: { input: OPA_INPUT } }
for (const database of await databases(true)) await compare(database)
bare.child.disconnect()

async function compare(database: Awaited<ReturnType<typeof databases>>[number]): Promise<void> {
  const gate = await startProcess('gate-process.mjs', {
    ...database.env,
    API_TOKENS: `admin:bench:admin-token-of-bench,pep:bench:${PEP}`,
    PEP_RATE_PER_S: '1000000',
    POLICY_DIR: policyDir,
  })
  const variants = [
    { ...constant, pid: bare.child.pid },
    {
      ...{ name: '/v1/data', url: `${gate.url}/v1/data/authz/allow`, key: PEP },
      ...{ body: { input: OPA_INPUT }, pid: gate.child.pid },
    },
    {
      ...{ name: 'AuthZEN evaluation', url: `${gate.url}/access/v1/evaluation`, key: PEP },
      ...{ body: QUESTION, pid: gate.child.pid },
    },
  ]
  const load = { connections: CONNECTIONS, seconds: Number(options.seconds) }
  for (const one of variants) await run({ ...one, ...load }) // warm
  const rows = new Map<string, { rate: number; us: number; ratio: number; p99: number }[]>()
  for (let round = 0; round < Number(options.rounds); round++) {
    let plain = Number.NaN
    for (const one of variants) {
      const before = cpuUs(one.pid ?? 0)
      const { requests, non2xx, errors, latency } = await run({ ...one, ...load })
      if (non2xx + errors > 0) throw new Error(`${one.name}: ${non2xx + errors} failed`)
      const us = (cpuUs(one.pid ?? 0) - before) / requests.total
      if (one.name === constant.name) plain = requests.average
      const row = { rate: requests.average, us, ratio: requests.average / plain, p99: latency.p99 }
      rows.set(one.name, [...(rows.get(one.name) ?? []), row])
    }
  }
  for (const [name, all] of rows) {
    const mid = (of: (row: (typeof all)[number]) => number) =>
      all.map(of).toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN
    console.log(
      `${database.name}: ${name.padEnd(20)} ${Math.round(mid(({ rate }) => rate))}/s  ` +
        `${Math.round(mid(({ us }) => us))} us  p99 ${mid(({ p99 }) => p99)} ms  ` +
        `to the constant ${mid(({ ratio }) => ratio).toFixed(2)}`,
    )
  }
  gate.child.disconnect()
  await new Promise((resolve) => gate.child.once('exit', resolve))
  database.stop()
}
