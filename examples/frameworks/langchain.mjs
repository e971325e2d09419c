// A loop over `@langchain/core` whose tools go through the gate: node langchain.mjs
import { HumanMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { langchainModel } from './fake-models.mjs'
import { PROMPT, TOOLS } from './tools.mjs'

const tools = Object.entries(TOOLS).map(([name, { description, schema, run }]) =>
  tool(async (args) => JSON.stringify(await run(args)), { name, description, schema }),
)
const model = (await langchainModel()).bindTools(tools)
const messages = [new HumanMessage(PROMPT)]
for (;;) {
  const said = await model.invoke(messages)
  messages.push(said)
  if (!said.tool_calls?.length) break
  for (const call of said.tool_calls) {
    const chosen = tools.find(({ name }) => name === call.name)
    messages.push(await chosen.invoke(call))
  }
}
console.log(messages.at(-1).content)
