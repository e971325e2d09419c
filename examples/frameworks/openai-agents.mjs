// An agent of `@openai/agents` whose tools go through the gate: node openai-agents.mjs
import { Agent, run, setTracingDisabled, tool } from '@openai/agents'
import { agentsModel } from './fake-models.mjs'
import { PROMPT, TOOLS } from './tools.mjs'

setTracingDisabled(true)
const agent = new Agent({
  name: 'support',
  instructions: 'You answer tickets.',
  model: await agentsModel(),
  tools: Object.entries(TOOLS).map(([name, { description, schema, run: execute }]) =>
    tool({ name, description, parameters: schema, execute: async (args) => JSON.stringify(await execute(args)) }),
  ),
})
const { finalOutput } = await run(agent, PROMPT)
console.log(finalOutput)
