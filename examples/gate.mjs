// A client of the gate in a few lines: base URL, key, JSON, and what each kind of answer means.
import fs from 'node:fs'
import process from 'node:process'

const url = process.env.PORTCULLIS_URL ?? 'http://127.0.0.1:8787'
const KEY_FILE = '.portcullis/agent-support-001.key' // made by `npm start`

function readKey() {
  if (process.env.PORTCULLIS_KEY) return process.env.PORTCULLIS_KEY
  if (fs.existsSync(KEY_FILE)) return fs.readFileSync(KEY_FILE, 'utf8').trim()
  throw new Error(`set PORTCULLIS_KEY to the key of an agent, or run this where ${KEY_FILE} is`)
}

/** One call; `{status, body, retryAfterS}`. */
export async function call(method, path, body) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'X-API-Key': readKey(), 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const retryAfterS = Number(response.headers.get('retry-after') ?? 1)
  return { status: response.status, body: await response.json(), retryAfterS }
}

/** One action. Waits when it is told to be slower; stops when it is told to stop. */
export async function act(tool, args, reason) {
  for (;;) {
    const { status, body, retryAfterS } = await call('POST', '/act', { tool, args, reason })
    if (status === 429) {
      await new Promise((resolve) => setTimeout(resolve, retryAfterS * 1000))
      continue
    }
    const code = body.error?.code
    if (['kill_switch_engaged', 'agent_paused', 'budget_exceeded'].includes(code)) {
      throw new Error(`told to stop: ${body.error.message}`)
    }
    return { status, body }
  }
}
