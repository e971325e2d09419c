// Says whether a model is configured, and if so asks it the smallest question there is.
//
//   node examples/llm-test.mjs
import process from 'node:process'
import { call } from './gate.mjs'

const { body: status } = await call('GET', '/llm/status')
console.log(`configured: ${status.configured}, model: ${status.model}, at: ${status.base_url ?? '-'}`)
if (!status.configured) {
  console.log('set GROQ_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL in .env, and start the gate again')
} else {
  const chat = await call('POST', '/llm/chat', { prompt: 'Answer with the word pong.', max_tokens: 8 })
  if (chat.status === 200) console.log(`answer: ${chat.body.text} (${chat.body.usage?.total_tokens} tokens)`)
  else console.log(`${chat.status} ${chat.body.error?.code ?? ''}: ${chat.body.error?.message ?? ''}`)
  process.exitCode = chat.status === 200 ? 0 : 1
}
