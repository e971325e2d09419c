// Writes docs/openapi.yaml and the types of the client from the calls as they are built: `npm run export:openapi`.
// PUBLIC_SERVER_URL, where set, becomes the servers entry; `--check` compares instead of writing.
import fs from 'node:fs'
import path from 'node:path'
import { stringify } from 'yaml'
import { clientTypes } from './client-types.mjs'

const root = path.join(import.meta.dirname, '..')
const { endpointGroups } = await import('../dist/doors/app.js')
const { documentOf } = await import('../dist/doors/api/docs.js')
const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))

// Declaring calls needs no gate behind them; only answering does.
const groups = endpointGroups({ config: { publicServerUrl: null } })
const document = documentOf(groups, version, process.env['PUBLIC_SERVER_URL'] || null)
const written = [
  ['docs/openapi.yaml', stringify(document, { aliasDuplicateObjects: false, lineWidth: 100 })],
  ['src/client/api.ts', clientTypes(document)],
]

for (const [name, text] of written) {
  const file = path.join(root, name)
  if (!process.argv.includes('--check')) fs.writeFileSync(file, text)
  else if (fs.readFileSync(file, 'utf8') !== text) {
    process.stderr.write(`${name} is not what the calls say: npm run export:openapi\n`)
    process.exitCode = 1
  }
}
const count = Object.keys(document.paths).length
process.stdout.write(`${written.map(([name]) => name).join(', ')}: ${count} paths\n`)
