import { expect } from 'chai'
import { setTimeout as pause } from 'node:timers/promises'
import type { TestGate } from './gate.ts'

/** Asks for a replay and waits for its report. */
export async function replayed(gate: TestGate, body: object) {
  const { status, body: made, text } = await gate.call('POST', '/policy/replays', { body })
  expect(status, text).to.equal(202)
  const one = await over(gate, made.id)
  expect(one.error).to.equal(null)
  return one.report
}

/**
 * A replay that is over. The first of a process starts a thread, of low priority, that loads everything through the test
 * loader: that takes as long as it takes, and only the suite's own patience bounds it.
 */
export async function over(gate: TestGate, id: string) {
  for (;;) {
    const { body } = await gate.call('GET', `/policy/replays/${id}`)
    if (body.finished_at !== null) return body
    await pause(50)
  }
}
