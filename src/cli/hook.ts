import { text } from 'node:stream/consumers'
import type { ClientOptions } from './gate-client.ts'
import { call } from './gate-client.ts'
import { print, say, visible } from './exit.ts'

// A command hook of Claude Code. Its client blocks a tool where the hook exits 2 and on nothing else, and goes on where it
// fails in any other way; so whatever is no clean answer of the gate exits 2.

const BLOCKS = 2
const TIMEOUT_MS = 5_000
const DECISIONS: ReadonlySet<unknown> = new Set(['allow', 'deny', 'ask', 'defer'])

/** Asks the gate about the tool that is described on standard input. */
export async function claudeHook(options: ClientOptions): Promise<void> {
  try {
    print(await withTimeout(answerTo(options)))
  } catch (error) {
    say(`portcullis: ${visible((error as Error).message)}`)
    // At once: what still waits for the gate must not keep the process until its client gives it up, and goes on.
    process.exit(BLOCKS)
  }
}

async function answerTo(options: ClientOptions): Promise<string> {
  const asked = JSON.parse(await text(process.stdin)) as unknown
  const response = await call(options, 'POST', '/hooks/claude-code', asked)
  const answer = (await response.json()) as {
    hookSpecificOutput?: { hookEventName?: unknown; permissionDecision?: unknown }
  }
  const { hookEventName: event, permissionDecision: decision } = answer.hookSpecificOutput ?? {}
  if (event === 'PreToolUse' && DECISIONS.has(decision)) return JSON.stringify(answer)
  throw new Error('the gate gave no decision')
}

function withTimeout<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the gate did not answer within ${TIMEOUT_MS / 1000} s`))
    }, TIMEOUT_MS)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
