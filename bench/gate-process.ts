import path from 'node:path'
import type { Gate as GateType } from '../src/main.ts'
import { benchConfig } from './support.ts'

// The gate under load, in a process of its own; `GATE_ROOT` is another checkout than this one.
const root = process.env['GATE_ROOT'] ?? path.resolve(import.meta.dirname, '..')
const { Gate } = (await import(path.join(root, 'src/main.ts'))) as { Gate: typeof GateType }
const gate = new Gate(benchConfig(process.env))
await gate.start()
const key = await gate.bootstrap.ensureAgent('bench', ['worker'], 'bench')
process.send?.({ url: gate.url, key })
process.on('disconnect', () => void gate.stop().then(() => process.exit(0)))
process.on('SIGTERM', () => void gate.stop().then(() => process.exit(0)))
