// The demo business system: a small ticketing service, in its own process, with its own store. It
// keeps a ledger of every effect it really had, which is what tests believe, not the gate.
//
//   node ops/demo/server.mjs [--host 127.0.0.1] [--port 8788] [--data FILE]
//
// With --data the ledger is a file and survives a restart: state is the seed plus the ledger.
import fs from 'node:fs'
import http from 'node:http'
import { parseArgs } from 'node:util'
import { CUSTOMERS, TICKETS } from './data.mjs'

const BODY_BYTES_MAX = 1 << 20
const FIELDS = {
  status: ['open', 'pending', 'resolved', 'closed'],
  priority: ['low', 'normal', 'high', 'urgent'],
}

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8788' },
    data: { type: 'string' },
  },
})

const tickets = new Map(TICKETS.map((ticket) => [ticket.id, { ...ticket }]))
const customers = new Map(CUSTOMERS.map((customer) => [customer.id, customer]))
const ledger = []

for (const line of readLines(values.data)) apply(JSON.parse(line))

function readLines(file) {
  if (!file || !fs.existsSync(file)) return []
  return fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)
}

function apply(effect) {
  ledger.push(effect)
  if (effect.type === 'ticket.updated') Object.assign(tickets.get(effect.ticket_id), effect.change)
}

function record(request, effect) {
  const entry = {
    n: ledger.length + 1,
    at: new Date().toISOString(),
    request_id: request.headers['x-request-id'] ?? null,
    ...effect,
  }
  if (values.data) fs.appendFileSync(values.data, `${JSON.stringify(entry)}\n`)
  apply(entry)
  return entry
}

class Refusal extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

function found(map, id, what) {
  const item = map.get(id)
  if (!item) throw new Refusal(404, `no ${what} ${id}`)
  return item
}

function listTickets(query) {
  const wanted = ['status', 'priority', 'customer_id'].filter((name) => query.has(name))
  return [...tickets.values()].filter((t) => wanted.every((name) => t[name] === query.get(name)))
}

function updateTicket(request, id, change) {
  found(tickets, id, 'ticket')
  for (const [name, allowed] of Object.entries(FIELDS)) {
    if (name in change && !allowed.includes(change[name])) throw new Refusal(422, `bad ${name}`)
  }
  const unknown = Object.keys(change).find((name) => !(name in tickets.get(id)) || name === 'id')
  if (unknown) throw new Refusal(422, `unknown field ${unknown}`)
  record(request, { type: 'ticket.updated', ticket_id: id, change })
  return tickets.get(id)
}

function email(request, id, { subject, body }) {
  const customer = found(customers, id, 'customer')
  if (typeof subject !== 'string' || typeof body !== 'string') {
    throw new Refusal(422, 'subject and body are needed')
  }
  const { n } = record(request, {
    type: 'email.sent',
    customer_id: id,
    to: customer.email,
    subject,
  })
  return { sent: true, to: customer.email, n }
}

const ROUTES = [
  ['GET', /^\/tickets$/, (_req, _match, query) => ({ tickets: listTickets(query) })],
  ['GET', /^\/tickets\/([\w-]+)$/, (_req, [, id]) => found(tickets, id, 'ticket')],
  ['PATCH', /^\/tickets\/([\w-]+)$/, (req, [, id], _query, body) => updateTicket(req, id, body)],
  ['GET', /^\/customers\/([\w-]+)$/, (_req, [, id]) => found(customers, id, 'customer')],
  ['POST', /^\/customers\/([\w-]+)\/email$/, (req, [, id], _query, body) => email(req, id, body)],
  ['GET', /^\/_ledger$/, () => ({ effects: ledger })],
  ['GET', /^\/health$/, () => ({ status: 'ok' })],
]

async function readBody(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > BODY_BYTES_MAX) throw new Refusal(413, 'too large')
    chunks.push(chunk)
  }
  if (size === 0) return {}
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new Refusal(400, 'not JSON')
  }
}

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://demo')
  const body = await readBody(request)
  for (const [method, pattern, handle] of ROUTES) {
    const match = pattern.exec(pathname)
    if (match && method === request.method) return handle(request, match, searchParams, body)
  }
  throw new Refusal(404, `no ${request.method} ${pathname}`)
}

const server = http.createServer((request, response) => {
  const send = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  }
  answer(request).then(
    (body) => send(200, body),
    (error) => send(error.status ?? 500, { error: error.message }),
  )
})

server.on('error', (error) => {
  console.error(`demo: ${error.message}`)
  process.exit(1)
})
server.listen(Number(values.port), values.host, () => {
  const { port } = server.address()
  console.log(`demo ticketing on http://${values.host}:${port}`)
  process.send?.({ port })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0))
process.on('disconnect', () => process.exit(0)) // the gate that started it is gone
