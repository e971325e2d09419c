// Writes docs/openapi.yaml from the calls as they are built: `npm run export:openapi`.
// PUBLIC_SERVER_URL, where set, becomes the servers entry; `--check` compares instead of writing.
import fs from 'node:fs'
import path from 'node:path'
import { stringify } from 'yaml'

const root = path.join(import.meta.dirname, '..')
const { endpointGroups } = await import('../dist/doors/app.js')
const { documentOf } = await import('../dist/doors/api/docs.js')
const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))

// Declaring calls needs no gate behind them; only answering does.
const groups = endpointGroups({ config: { publicServerUrl: null } })
const document = documentOf(groups, version, process.env['PUBLIC_SERVER_URL'] || null)
const text = stringify(document, { aliasDuplicateObjects: false, lineWidth: 100 })
const file = path.join(root, 'docs', 'openapi.yaml')

if (process.argv.includes('--check')) {
  if (fs.readFileSync(file, 'utf8') !== text) {
    process.stderr.write('docs/openapi.yaml is not what the calls say: npm run export:openapi\n')
    process.exitCode = 1
  }
} else {
  fs.writeFileSync(file, text)
  process.stdout.write(`wrote docs/openapi.yaml: ${Object.keys(document.paths).length} paths\n`)
}
