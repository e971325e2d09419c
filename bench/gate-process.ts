import { Gate } from '../src/main.ts'
import { benchConfig } from './support.ts'

// The gate under load, in a process of its own.
const gate = new Gate(benchConfig(process.env))
await gate.start()
const key = await gate.bootstrap.ensureAgent('bench', ['worker'], 'bench')
process.send?.({ url: gate.url, key })
process.on('disconnect', () => void gate.stop().then(() => process.exit(0)))
process.on('SIGTERM', () => void gate.stop().then(() => process.exit(0)))
