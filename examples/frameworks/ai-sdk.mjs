// An agent of the `ai` package whose tools go through the gate: node ai-sdk.mjs
import { generateText, stepCountIs, tool } from 'ai'
import { aiModel } from './fake-models.mjs'
import { PROMPT, TOOLS } from './tools.mjs'

const tools = Object.fromEntries(
  Object.entries(TOOLS).map(([name, { description, schema, run }]) => [
    name,
    tool({ description, inputSchema: schema, execute: (args) => run(args) }),
  ]),
)
const { text } = await generateText({
  model: await aiModel(),
  tools,
  stopWhen: stepCountIs(10),
  prompt: PROMPT,
})
console.log(text)
