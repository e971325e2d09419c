// A load generator over raw sockets: fixed request bytes, keep-alive, answers read by their Content-Length.
// It costs a third of what an HTTP client costs, so that on two cores it is the gate that is measured.
// Closed loop: each connection sends again when it is answered. Paced: one request every 1/rate seconds,
// evenly, on whichever connection is free; a request that finds none waits, and its wait counts.
import net from 'node:net'
import { performance } from 'node:perf_hooks'

process.on('message', (job) => {
  void run(job).then((result) => process.send(result))
})
process.on('disconnect', () => process.exit(0))

async function run({ url, method, path, headers, keys, body, connections, seconds, rate }) {
  const { hostname, port, host } = new URL(url)
  const bytesWith = (own) => {
    const all = { host, 'content-length': Buffer.byteLength(body), ...headers, ...own }
    const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
    return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body}`)
  }
  const requests = keys ? keys.map((key) => bytesWith({ 'x-api-key': key })) : [bytesWith({})]
  let turn = 0
  const next = () => requests[turn++ % requests.length]
  const tally = { latencies: [], bad: 0, errors: 0 }
  const opened = await Promise.all(
    Array.from({ length: connections }, () => open(hostname, Number(port), next, tally)),
  )
  const cpu = process.cpuUsage()
  const began = performance.now()
  await (rate ? paced(opened, rate, seconds) : closed(opened, seconds))
  const ms = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  for (const { socket } of opened) socket.destroy()
  return { ...summary(tally), ms, cpuUs: user + system }
}

async function closed(opened, seconds) {
  const until = performance.now() + seconds * 1000
  await Promise.all(
    opened.map(async (connection) => {
      while (performance.now() < until) await connection.ask(performance.now())
    }),
  )
}

async function paced(opened, rate, seconds) {
  const [free, waiting, under] = [[...opened], [], new Set()]
  const send = (connection, dueAt) => {
    const asked = connection.ask(dueAt).then(() => {
      under.delete(asked)
      const next = waiting.shift()
      if (next === undefined) free.push(connection)
      else send(connection, next)
    })
    under.add(asked)
  }
  const [began, count] = [performance.now(), rate * seconds]
  for (let n = 0; n < count; ) {
    for (; n < count && began + (n * 1000) / rate <= performance.now(); n++) {
      const connection = free.shift()
      const dueAt = began + (n * 1000) / rate
      if (connection) send(connection, dueAt)
      else waiting.push(dueAt)
    }
    // Asleep until the next is due: a loop that spins would take one of the two cores from what is measured.
    const dueInMs = began + (n * 1000) / rate - performance.now()
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueInMs - 0.5)))
  }
  while (under.size > 0) await Promise.all(under)
}

function open(host, port, next, tally) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => resolve({ socket, ask }))
    socket.setNoDelay(true)
    let text = ''
    let answered = () => {}
    const ask = (dueAt) =>
      new Promise((done) => {
        answered = (status) => {
          tally.latencies.push(performance.now() - dueAt)
          if (status < 200 || status > 299) tally.bad++
          done()
        }
        socket.write(next())
      })
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0)
      if (text.length < end + 4 + length) return
      const status = Number(text.slice(9, 12))
      text = text.slice(end + 4 + length)
      answered(status)
    })
    socket.on('error', (error) => {
      tally.errors++
      answered(0)
      reject(error)
    })
  })
}

function summary({ latencies, bad, errors }) {
  const sorted = latencies.sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { requests: sorted.length, p50: at(0.5), p99: at(0.99), bad, errors }
}
