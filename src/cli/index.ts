import { portcullis } from './program.ts'
import { run } from './run.ts'

await run(portcullis())
