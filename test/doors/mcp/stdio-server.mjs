// An MCP server over standard input and output, made with the SDK: what it was called with stands in a ledger that the gate
// has no part in. Its args are the ledger and the file with what it lists; `behave` of a call says how it goes wrong.
import fs from 'node:fs'
import { spawn } from 'node:child_process'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

const [ledger, tools, ...flags] = process.argv.slice(2)
const note = (what) => fs.appendFileSync(ledger, `${JSON.stringify(what)}\n`)

note({ started: process.pid, env: process.env, cwd: process.cwd() })
process.on('exit', () => note({ ended: process.pid }))
if (flags.includes('ends')) process.exit(7)
if (flags.includes('deaf')) {
  setInterval(() => {}, 1_000)
  process.on('SIGTERM', () => note({ told: process.pid }))
}
if (flags.includes('nested')) {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  note({ nested: child.pid })
}

const server = new Server({ name: 'fixture', version: '1' }, { capabilities: { tools: {} } })
server.oninitialized = () => note({ client: server.getClientCapabilities() })
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: JSON.parse(fs.readFileSync(tools, 'utf8')),
}))

const text = (said) => ({ content: [{ type: 'text', text: said }] })
const WAYS = {
  dies: () => process.exit(3),
  speaks: () => {
    process.stderr.write(`a line \u001b[31mof the server\n${process.env.SECRET_OF_FILES ?? ''}\n`)
    process.stdout.write('this is no message\n')
    return text('spoken')
  },
  echoes: () => text(process.env.SECRET_OF_FILES ?? ''),
  // Too long a line, whose id stands at its end.
  floods: () => text('x'.repeat(200_000)),
  hangs: () => new Promise(() => {}),
  async asks(extra) {
    const asked = { method: 'roots/list' }
    const answer = await extra.sendRequest(asked, { parse: (one) => one }).catch((error) => error.code)
    return text(JSON.stringify(answer))
  },
  async tells(extra) {
    const progressToken = extra._meta?.progressToken
    for (const progress of [1, 2]) {
      await extra.sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress },
      })
    }
    return text('told')
  },
}

server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
  note({ called: params.name, args: params.arguments })
  extra.signal.addEventListener('abort', () => note({ cancelled: params.arguments }))
  const way = WAYS[params.arguments?.behave]
  return way ? way(extra) : text(`${params.name} by ${process.pid}`)
})
await server.connect(new StdioServerTransport())
