// PGlite in a worker thread, speaking the PostgreSQL wire protocol over MessagePorts (no TCP port).
// PGlite is one session, so connections take turns: between Parse and Sync, and for a whole open
// transaction, the session belongs to one connection and the others queue.
// Plain JavaScript because worker threads cannot load TypeScript under the test loader on Node 20.
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { openDurable } from './durable-nodefs.mjs'

const LOCK_TIMEOUT_MS = workerData.lockTimeoutMs ?? 30_000
const IDLE_TX_TIMEOUT_MS = workerData.idleTxTimeoutMs ?? 60_000
const READY_FOR_QUERY = 'Z'.charCodeAt(0)
const NOTIFICATION = 'A'.charCodeAt(0)
const SSL_REQUEST = 80877103
const CANCEL_REQUEST = 80877102

const db =
  workerData.dir === 'memory://'
    ? await PGlite.create({ dataDir: 'memory://', pgliteWasmModule: workerData.code })
    : await openDurable(workerData.dir, workerData.code)

const cString = (text) => Buffer.from(`${text}\0`)

function int32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function message(type, ...parts) {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

const ready = () => message('Z', Buffer.from('I'))

function errorResponse(code, text) {
  const fields = [cString('SERROR'), cString('VERROR'), cString(`C${code}`), cString(`M${text}`)]
  return Buffer.concat([message('E', ...fields, Buffer.from([0])), ready()])
}

const connections = new Set()
const queue = []
let owner = null // the connection inside an open transaction, if any
let busy = false

async function execute(job) {
  try {
    return Buffer.from(await db.execProtocolRaw(job.data, { syncToFs: false }))
  } catch (error) {
    return errorResponse('XX000', String(error?.message ?? error))
  }
}

/** Sends the answer to its connection, notifications to all; returns the transaction state. */
function distribute(job, answer) {
  const kept = []
  let state = 'I'
  for (let at = 0; at + 5 <= answer.length; ) {
    const type = answer[at]
    const end = at + answer.readInt32BE(at + 1) + 1
    const part = answer.subarray(at, end)
    if (type === NOTIFICATION) for (const connection of connections) connection.send(part)
    else kept.push(part)
    if (type === READY_FOR_QUERY) state = String.fromCharCode(answer[at + 5])
    at = end
  }
  job.connection.send(Buffer.concat(kept))
  return state
}

async function pump() {
  if (busy) return
  busy = true
  try {
    for (;;) {
      const at = queue.findIndex((job) => !owner || job.connection === owner)
      if (at < 0) break
      const [job] = queue.splice(at, 1)
      clearTimeout(job.timer)
      if (job.connection.dead && job !== job.connection.cleanup) continue
      clearTimeout(job.connection.idleTimer)
      const state = distribute(job, await execute(job))
      owner = state === 'I' ? null : job.connection
      if (owner?.dead && !owner.cleanup) rollback(owner)
      else if (owner) watchIdleTransaction(owner)
      await new Promise(setImmediate) // lets queued messages in
    }
  } finally {
    busy = false
  }
}

function watchIdleTransaction(connection) {
  connection.idleTimer = setTimeout(() => {
    connection.send(
      errorResponse('25P03', 'terminating connection due to idle-in-transaction timeout'),
    )
    connection.close()
  }, IDLE_TX_TIMEOUT_MS)
}

function rollback(connection) {
  connection.cleanup = { connection, data: message('Q', cString('ROLLBACK')) }
  queue.unshift(connection.cleanup)
  void pump()
}

class Connection {
  dead = false
  #port
  #buffer = Buffer.alloc(0)
  #unit = []
  #started = false

  constructor(port) {
    this.#port = port
    connections.add(this)
    port.on('message', (data) =>
      data === null
        ? this.close()
        : this.#receive(Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
    )
    port.on('close', () => this.close())
  }

  send(bytes) {
    if (this.dead || bytes.length === 0) return
    const copy = new Uint8Array(bytes)
    this.#port.postMessage(copy, [copy.buffer])
  }

  close() {
    if (this.dead) return
    this.dead = true
    clearTimeout(this.idleTimer)
    connections.delete(this)
    for (let at = queue.length - 1; at >= 0; at--) {
      if (queue[at].connection !== this) continue
      clearTimeout(queue[at].timer)
      queue.splice(at, 1)
    }
    if (owner === this) rollback(this)
    this.#port.postMessage(null)
    this.#port.close()
  }

  #receive(data) {
    this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data
    while (this.#started ? this.#readMessage() : this.#readStartup());
  }

  #take(length) {
    const part = this.#buffer.subarray(0, length)
    this.#buffer = this.#buffer.subarray(length)
    return part
  }

  #readStartup() {
    if (this.#buffer.length < 8) return false
    const length = this.#buffer.readInt32BE(0)
    if (this.#buffer.length < length) return false
    const code = this.#take(length).readInt32BE(4)
    if (code === SSL_REQUEST) this.send(Buffer.from('N'))
    else if (code === CANCEL_REQUEST) this.close()
    else this.#welcome()
    return !this.dead
  }

  #welcome() {
    this.#started = true
    const parameters = {
      server_version: '18.6',
      client_encoding: 'UTF8',
      DateStyle: 'ISO, MDY',
      integer_datetimes: 'on',
      standard_conforming_strings: 'on',
      TimeZone: 'UTC',
    }
    const statuses = Object.entries(parameters).map(([key, value]) =>
      message('S', cString(key), cString(value)),
    )
    this.send(
      Buffer.concat([
        message('R', int32(0)),
        ...statuses,
        message('K', int32(1), int32(1)),
        ready(),
      ]),
    )
  }

  #readMessage() {
    if (this.#buffer.length < 5) return false
    const length = this.#buffer.readInt32BE(1) + 1
    if (this.#buffer.length < length) return false
    const type = String.fromCharCode(this.#buffer[0])
    const part = this.#take(length)
    if (type === 'X') {
      this.close()
      return false
    }
    this.#unit.push(part)
    if (type === 'S' || type === 'Q') this.#enqueue()
    return true
  }

  // Everything from Parse to Sync runs as one unit, so statements of two connections cannot interleave.
  #enqueue() {
    const job = { connection: this, data: new Uint8Array(Buffer.concat(this.#unit)) }
    this.#unit = []
    job.timer = setTimeout(() => {
      const at = queue.indexOf(job)
      if (at < 0) return
      queue.splice(at, 1)
      this.send(
        errorResponse(
          '55P03',
          `embedded database busy: a transaction held it for ${LOCK_TIMEOUT_MS} ms`,
        ),
      )
    }, LOCK_TIMEOUT_MS)
    queue.push(job)
    void pump()
  }
}

// PGlite has no checkpointer and no autovacuum. Their statements run as jobs of a pseudo-connection,
// so that they never land inside a client's transaction.
const maintenance = { send() {}, close() {}, dead: false }

function maintain(sql) {
  if (queue.some((job) => job.connection === maintenance)) return
  queue.push({ connection: maintenance, data: new Uint8Array(message('Q', cString(sql))) })
  void pump()
}

const timers = [
  setInterval(() => maintain('CHECKPOINT'), workerData.checkpointMs ?? 60_000),
  setInterval(() => maintain('VACUUM ANALYZE'), workerData.vacuumMs ?? 600_000),
]

async function close() {
  for (const timer of timers) clearInterval(timer)
  for (const connection of [...connections]) connection.close()
  while (queue.length > 0 || busy) await new Promise(setImmediate)
  await db.exec('CHECKPOINT').catch(() => {})
  await db.close()
  parentPort.postMessage({ closed: true })
  process.exit(0)
}

parentPort.on('message', (request) => {
  if (request.port) new Connection(request.port)
  if (request.ping !== undefined) parentPort.postMessage({ pong: request.ping })
  if (request.close) void close()
})
parentPort.postMessage({ ready: true })
