// Models without a model: each asks for the same three calls, then says what came of them. With a real one, an example
// takes `openai('gpt-5')`, a model's name, or `new ChatOpenAI(...)` in its place.
const mail = (id) => ({ id, subject: 'Your ticket', body: 'It is resolved.' })

const SCRIPT = [
  { name: 'read_ticket', args: { id: 't-1' } },
  { name: 'email_customer', args: mail('c-1') },
  { name: 'email_customer', args: mail('c-2') },
]

/** The call that comes after so many answers; undefined once the script has been played. */
const next = (answers) => SCRIPT[answers]

/** For the `ai` package. */
export async function aiModel() {
  const { MockLanguageModelV3 } = await import('ai/test')
  const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
  return new MockLanguageModelV3({
    doGenerate: async ({ prompt }) => {
      const answers = prompt.filter(({ role }) => role === 'tool').flatMap(({ content }) => content)
      const call = next(answers.length)
      const content = call
        ? { type: 'tool-call', toolCallId: `c${answers.length}`, toolName: call.name, input: JSON.stringify(call.args) }
        : { type: 'text', text: answers.map(({ output }) => JSON.stringify(output.value)).join('\n') }
      const finishReason = { unified: call ? 'tool-calls' : 'stop', raw: undefined }
      return { content: [content], finishReason, usage, warnings: [] }
    },
  })
}

/** For `@openai/agents`. */
export async function agentsModel() {
  const { Usage } = await import('@openai/agents')
  return {
    async getResponse({ input }) {
      const answers = Array.isArray(input)
        ? input.filter(({ type }) => type === 'function_call_result')
        : []
      const call = next(answers.length)
      const text = answers.map(({ output }) => output.text ?? JSON.stringify(output)).join('\n')
      const output = call
        ? { type: 'function_call', callId: `c${answers.length}`, name: call.name, arguments: JSON.stringify(call.args), status: 'completed' }
        : { type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text }] }
      return { usage: new Usage(), output: [output] }
    },
    getStreamedResponse() {
      throw new Error('this model does not stream')
    },
  }
}

/** For `@langchain/core`. */
export async function langchainModel() {
  const { fakeModel } = await import('@langchain/core/testing')
  const { AIMessage } = await import('@langchain/core/messages')
  const model = fakeModel()
  for (const call of SCRIPT) model.respondWithTools([call])
  return model.respond(
    (messages) =>
      new AIMessage(
        messages
          .filter(({ type }) => type === 'tool')
          .map(({ content }) => content)
          .join('\n'),
      ),
  )
}
