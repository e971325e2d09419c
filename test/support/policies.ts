import fs from 'node:fs'
import path from 'node:path'

/** How long the gate waits for the test upstream, which a busy machine may keep waiting: not what a test measures. */
export const PATIENCE = 'timeout_ms: 30000'

/** The tools of the test upstream: a read, a write, an irreversible one, and one with a look-up. */
export const TOOLS = `
version: 1
upstreams:
  test:
    base_url: \${TICKETING_API_URL}
    ${PATIENCE}
tools:
  items.list:
    { upstream: test, method: GET, path: /items, query: [status], effect: read,
      args: { type: object, properties: { status: { type: string } } } }
  items.get:
    { upstream: test, method: GET, path: "/items/{id}", effect: read,
      args: { type: object, properties: { id: { type: string } }, required: [id] } }
  items.update:
    { upstream: test, method: PATCH, path: "/items/{id}", effect: write,
      args: { type: object, required: [id],
        properties: { id: { type: string }, note: { type: string }, data: {}, tags: { type: array } } } }
  items.delete:
    { upstream: test, method: DELETE, path: "/items/{id}", effect: irreversible,
      args: { type: object, properties: { id: { type: string } }, required: [id] } }
  mail.send:
    { upstream: test, method: POST, path: "/people/{id}/mail", effect: irreversible,
      args: { type: object, required: [id, text],
        properties: { id: { type: string }, text: { type: string } } },
      facts: { person: { tool: people.get, args: { id: /id }, ttl_s: 0 } } }
  people.get:
    { upstream: test, method: GET, path: "/people/{id}", effect: read,
      args: { type: object, properties: { id: { type: string } }, required: [id] } }
`

/** Role \`worker\` may do all but delete; deleting needs approval; \`nobody\` may do nothing. */
export const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: ["items.list", "items.get", "items.update", "mail.send", "people.get"], effect: allow }
  - { roles: [worker], tools: ["items.delete"], effect: require_approval }
rate_limits:
  - { limit: 100000, per_s: 1 }
`

export interface PolicyFiles {
  readonly [name: string]: string | Uint8Array
}

export function writePolicies(dir: string, files: PolicyFiles): void {
  for (const [name, text] of Object.entries({ 'tools.yaml': TOOLS, 'gate.yaml': GATE, ...files })) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
    fs.writeFileSync(path.join(dir, name), text)
  }
}
