// The client of a gate, for agents and programs: the package's `portcullis/client`. It needs nothing but `fetch`.
export {
  type ActOptions,
  type CallName,
  type Given,
  type GuardOptions,
  Portcullis,
  type WaitOptions,
} from './client.ts'
export { type ActionEnd, GateError } from './errors.ts'
export type { Gate, Sending } from './send.ts'
export type * from './api.ts'
