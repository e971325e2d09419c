import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { type Answer, heard, type TestGate, until } from './gate.ts'
import { TOOLS } from './policies.ts'

const HOUR_MS = 3_600_000

/** Never by itself, as far as a test goes. */
export const NEVER = { errors: 1_000_000 }

/** Begins a canary of a whole policy; what is not said compares all, for an hour. */
export async function start(gate: TestGate, gateYaml: string, more: object = {}): Promise<Answer> {
  const body = {
    files: { 'gate.yaml': gateYaml, 'tools.yaml': TOOLS },
    mode: 'compare',
    percent: 100,
    until: new Date(Date.now() + HOUR_MS).toISOString(),
    abort_when: NEVER,
    ...more,
  }
  for (;;) {
    const answer = await heard(() => gate.call('POST', '/policy/canary', { body }))
    // A machine that is busy with other things may load nothing in time, which no test is about.
    if (answer.body.error?.diagnostics?.[0]?.code !== 'load_failed') return answer
  }
}

/** The same, which has to run. */
export async function started(gate: TestGate, gateYaml: string, more: object = {}) {
  const { status, body, text } = await start(gate, gateYaml, more)
  expect(status, text).to.equal(201)
  return body.canary
}

export const canaryOf = async (gate: TestGate) =>
  (await gate.call('GET', '/policy/canary')).body.canary

export const abort = (gate: TestGate, reason = 'test') =>
  heard(() => gate.call('POST', '/policy/canary/abort', { body: { reason } }))

/** Waits until it has ended, on this gate. */
export async function ended(gate: TestGate, id: string) {
  await until('the canary ends', async () => (await canaryOf(gate)).status !== 'running')
  const canary = await canaryOf(gate)
  expect(canary.id).to.equal(id)
  return canary
}

export const liveOf = async (gate: TestGate): Promise<string> =>
  (await gate.call('GET', '/policy')).body.revision

export const revisionOf = ({ body }: Answer): string => body.revision ?? body.error.revision

/** Whether an agent is in the share of a canary, reckoned as the documentation says. */
export function isInShare(canary: { id: string; percent: number }, agentId: string): boolean {
  const digest = createHash('sha256').update(`${canary.id}${agentId}`).digest('hex')
  return Number(BigInt(`0x${digest}`) % 100n) < canary.percent
}

/** Entries of a kind, oldest first. */
export async function entriesOf(gate: TestGate, kind: string) {
  const { entries } = (await gate.call('GET', `/audit/timeline?limit=500&kind=${kind}`)).body
  return entries.toReversed()
}

/** The entry of a decision. */
export async function decisionOf(gate: TestGate, { body }: Answer) {
  const id = body.decision_id ?? body.error.decision_id
  const entries = await entriesOf(gate, 'decision')
  return entries.findLast((one: { decision_id: string }) => one.decision_id === id)
}
