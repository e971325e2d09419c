import type { Json, JsonObject } from '../model/json.ts'
import { declares } from './eras.ts'
import { INVALID_PARAMS, McpError, MISSING_CAPABILITY, textParam, type Incoming } from './wire.ts'

// The Tasks extension of the modern protocol: a call that takes long is answered with a task, which is asked for until it is
// over. An action is a task under another name, so nothing is kept for it: its id is that of the action with a digest that
// nobody else can make, good for one agent and one path.

export const TASKS = 'io.modelcontextprotocol/tasks'

/** How often a client may well ask: a person is waited for. */
const POLL_MS = 5_000
/** How long the outcome can be had after a person could still have decided. */
const KEPT_MS = 3_600_000
const DIGEST_CHARS = 32
const ID = /^tsk_([0-9A-Za-z]{1,40})_([0-9a-f]{32})$/

/** Makes a digest that nobody else can make. */
type Keyed = (text: string) => string

/** Whose a task is, and under which path. */
export interface TaskOf {
  readonly server: string
  readonly holder: string
}

export function taskId(actionId: string, of: TaskOf, keyed: Keyed): string {
  return `tsk_${actionId.slice('act_'.length)}_${digestOf(actionId, of, keyed)}`
}

/** The action behind a task id; undefined where the gate has given none of it to this holder here. */
export function actionIdOf(id: string, of: TaskOf, keyed: Keyed): string | undefined {
  const [, name = '', digest] = ID.exec(id) ?? []
  const actionId = `act_${name}`
  return name !== '' && digestOf(actionId, of, keyed) === digest ? actionId : undefined
}

const digestOf = (actionId: string, { server, holder }: TaskOf, keyed: Keyed): string =>
  keyed(JSON.stringify(['mcp task', actionId, server, holder])).slice(0, DIGEST_CHARS)

export interface TaskTimes {
  readonly createdAt: Date
  readonly updatedAt: Date
  /** Until when a person may decide. */
  readonly expiresAt: Date
}

/** What is said of a task, whatever its state. */
export const taskBase = (id: string, { createdAt, updatedAt, expiresAt }: TaskTimes) => ({
  taskId: id,
  createdAt: createdAt.toISOString(),
  lastUpdatedAt: updatedAt.toISOString(),
  ttlMs: expiresAt.getTime() - createdAt.getTime() + KEPT_MS,
  pollIntervalMs: POLL_MS,
})

/** @throws McpError where the sender does not say that it understands tasks */
export function assertTasks(message: Incoming): void {
  if (declares(message, TASKS)) return
  const requiredCapabilities = { extensions: { [TASKS]: {} } }
  throw new McpError(MISSING_CAPABILITY, 'Missing required client capability', {
    status: 400,
    id: message.id,
    data: { requiredCapabilities },
  })
}

/** The task that a request is about. @throws McpError for one that is not this holder's */
export function taskIn(message: Incoming, of: TaskOf, keyed: Keyed): string {
  const actionId = actionIdOf(textParam(message, 'taskId'), of, keyed)
  if (actionId !== undefined) return actionId
  throw unknownTask(message.id)
}

export const unknownTask = (id: Incoming['id']): McpError =>
  new McpError(INVALID_PARAMS, 'Unknown task', { id })

/** Ids that a subscription names. */
export const idsIn = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []

/** The terminal states: nothing is told of a task that is in one. */
export const isOver = ({ status }: JsonObject): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled'
