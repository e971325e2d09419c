// The gate under load, in a process of its own, as it ships; `GATE_ROOT` is another checkout than this one, built. Through
// the test loader every function that is made costs a call more.
import path from 'node:path'

const root = process.env.GATE_ROOT ?? path.resolve(import.meta.dirname, '..')
const load = (file) => import(path.join(root, 'dist', file))
const [{ Gate }, { parseConfig }] = await Promise.all([load('main.js'), load('config.js')])
const gate = new Gate(
  parseConfig({
    PORT: '0',
    LOG_LEVEL: 'warn',
    API_TOKENS: 'admin:bench:admin-token-of-bench',
    DEMO: 'off',
    ...process.env,
    LOG_FILE: path.join(process.env.DATA_DIR ?? '.', 'bench.log'),
  }),
)
await gate.start()
const key = await gate.bootstrap.ensureAgent('bench', ['worker'], 'bench')
const keys = []
const names = Array.from({ length: Number(process.env.AGENTS ?? 0) }, (_, n) => `bench-${n}`)
while (names.length > 0) {
  const some = names.splice(0, 50)
  const made = some.map((name) => gate.bootstrap.ensureAgent(name, ['worker'], 'bench'))
  keys.push(...(await Promise.all(made)))
}
process.send?.({ url: gate.url, key, keys })
const end = () => void gate.stop().then(() => process.exit(0))
process.on('disconnect', end)
process.on('SIGTERM', end)
