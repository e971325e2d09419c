import { expect } from 'chai'
import { until, type TestGate } from './gate.ts'

/** Asks for a replay and waits for its report. */
export async function replayed(gate: TestGate, body: object) {
  const { status, body: made, text } = await gate.call('POST', '/policy/replays', { body })
  expect(status, text).to.equal(202)
  const one = await over(gate, made.id)
  expect(one.error).to.equal(null)
  return one.report
}

/** A replay that is over. */
export async function over(gate: TestGate, id: string) {
  const read = async () => (await gate.call('GET', `/policy/replays/${id}`)).body
  await until('the replay is over', async () => (await read()).finished_at !== null)
  return read()
}
