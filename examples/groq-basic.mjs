// One turn through the gate: the model reads tickets with the agent's own permissions, and says what it found.
// Start the gate with GROQ_API_KEY set (a Groq key alone selects Groq), then:
//
//   node examples/groq-basic.mjs "Which open tickets have high priority?"
import process from 'node:process'
import { call } from './gate.mjs'

const prompt = process.argv[2] ?? 'How many tickets are open? List them and count.'
const { status, body } = await call('POST', '/turn', { prompt })
for (const { tool, decision, status: state, code } of body.actions ?? []) {
  console.log(`${tool}: ${decision}, ${state}${code ? ` (${code})` : ''}`)
}
if (status === 200) console.log(body.text ?? `stopped: ${body.stopped_by.message}`)
else console.log(`${status} ${body.error.code}: ${body.error.message}`)
process.exitCode = status === 200 && body.status === 'completed' ? 0 : 1
