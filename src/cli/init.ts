import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { readConfig } from '../config.ts'
import type { Imported } from '../policy/openapi/imported.ts'
import { fileText, findingsText, gateText } from '../policy/openapi/render.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import { loadPolicies } from './load-policies.ts'
import { importFrom } from './openapi-document.ts'
import { policyFailure } from './policy-report.ts'
import { ROOT } from './root.ts'

// A new folder holds what a start needs and nothing that is made later. Nothing that is there is written over: a folder
// with policies is refused, and files that others keep as well (.env, .gitignore) get what they lack.

const TEMPLATES = path.join(ROOT, 'ops', 'init')
const SECRET_BYTES = 24
const FINDINGS_SHOWN = 5

type Files = Readonly<Record<string, string>>

/** Files of the package, by where they stand in the folder: the policies of the demo. */
const DEMO: Files = {
  'policies/gate.yaml': path.join(ROOT, 'policies', 'gate.yaml'),
  'policies/tools.yaml': path.join(ROOT, 'policies', 'tools.yaml'),
  'policies/data/do_not_contact.csv': path.join(ROOT, 'policies', 'data', 'do_not_contact.csv'),
  'policies/tests/support.yaml': path.join(ROOT, 'policies', 'tests', 'support.yaml'),
  'policies/agent.rego': path.join(TEMPLATES, 'policies', 'agent.rego'),
  'policies/agent_test.rego': path.join(TEMPLATES, 'policies', 'agent_test.rego'),
}
// The first lines of the policies name them, so an editor checks and completes without settings, too.
const SCHEMAS: Files = {
  'schemas/gate.schema.json': path.join(ROOT, 'schemas', 'gate.schema.json'),
  'schemas/tools.schema.json': path.join(ROOT, 'schemas', 'tools.schema.json'),
  'schemas/tests.schema.json': path.join(ROOT, 'schemas', 'tests.schema.json'),
}
/** Of an editor's settings, one's own stay. */
const EDITOR: Files = {
  '.vscode/settings.json': path.join(TEMPLATES, 'vscode-settings.json'),
  '.vscode/extensions.json': path.join(TEMPLATES, 'vscode-extensions.json'),
}

/** The role that a first gate.yaml permits something. */
const ROLE = 'assistant'

export interface InitOptions {
  /** An OpenAPI document whose operations are the tools, in place of the demo's. */
  readonly from?: string
  readonly upstream?: string
}

/** `portcullis init`: makes a folder in which `portcullis start` works. */
export async function init(given: string, options: InitOptions): Promise<void> {
  const dir = path.resolve(given)
  const policies = await policiesOf(options)
  const taken = Object.keys(policies.files).find((name) => fs.existsSync(path.join(dir, name)))
  if (taken !== undefined) {
    const message = `${path.join(given, taken)} is there already, and nothing is written over; name another folder`
    throw new CliError(EXIT.usage, message)
  }
  const written = Object.entries(policies.files).map(([name, text]) => {
    write(dir, name, text)
    return name
  })
  for (const [name, text] of Object.entries(textsOf(EDITOR))) {
    if (fs.existsSync(path.join(dir, name))) continue
    write(dir, name, text)
    written.push(name)
  }
  written.push(writeEnv(dir, policies.settings), writeIgnored(dir))
  for (const name of written.toSorted()) print(`  ${name}`)
  const width = Math.max(...policies.next.map(([command]) => command.length))
  const lines = policies.next.map(
    ([command, what]) => `portcullis ${command.padEnd(width)}   ${what}`,
  )
  const there = given === '.' ? [] : [`cd ${given}`]
  print(`\n  ${[...there, ...lines].join('\n  ')}\n\n  With npm, each is \`npx portcullis ...\`.`)
}

interface Policies {
  readonly files: Files
  /** Changes the settings of a demo into its own. */
  readonly settings: (text: string) => string
  /** What to try next: commands, and what they do. */
  readonly next: readonly (readonly [string, string])[]
}

async function policiesOf({ from, upstream }: InitOptions): Promise<Policies> {
  if (from === undefined) return demo()
  return imported(await importFrom(from, upstream === undefined ? {} : { upstream }))
}

const demo = (): Policies => ({
  files: textsOf({ ...DEMO, ...SCHEMAS }),
  settings: (text) => text,
  next: [
    ['start', 'the gate, with a demo ticketing system behind it'],
    ['test', 'what these policies promise'],
    ['approvals list', 'in another shell, once something is held'],
  ],
})

// Nothing is written that the gate would not load.
async function imported(from: Imported & { readonly upstream: string }): Promise<Policies> {
  const tools = fileText(from)
  const gate = gateText(from, from.upstream, ROLE)
  const result = await loadPolicies({ 'gate.yaml': gate, 'tools.yaml': tools }, readConfig())
  if (!result.ok) throw policyFailure('.', result.diagnostics, result.files)
  say(`${from.tools.length} of ${from.operations} operations are tools`)
  if (from.findings.length > 0) say(visible(findingsText(from, FINDINGS_SHOWN)))
  return {
    files: { 'policies/gate.yaml': gate, 'policies/tools.yaml': tools, ...textsOf(SCHEMAS) },
    settings: (text) => text.replace(DEMO_SETTING, upstreamSettings(from)),
    next: [
      ['start', `the gate, in front of ${from.upstream}`],
      [`agents create my-agent --role ${ROLE}`, 'in another shell: an agent, and its key'],
      ['keys create --role approver --name you', 'to approve with: who issued its key may not'],
      ['approvals list', 'what waits for a person'],
      ['check', 'after a change of the policies'],
    ],
  }
}

/** The last setting of the template, and the line about it. */
const DEMO_SETTING = /# The demo ticketing system[^\n]*\nDEMO=on\n/

/** Variables that the upstream reads: where it is, and its credential. */
function upstreamSettings({ upstreams }: Imported): string {
  const text = JSON.stringify([...upstreams.values()])
  const places = [...text.matchAll(/\$\{([A-Z0-9_]+):-([^}]*)\}/g)].map(
    ([, name, value]) => `# ${name}=${value}\n`,
  )
  const secrets = [...text.matchAll(/"\w*env":"([A-Z0-9_]+)"/g)].map(([, name]) => `${name}=\n`)
  const about = secrets.length > 0 ? '# The credential that only the gate has.\n' : ''
  return [
    'DEMO=off\n\n# Where the upstream is, if not where its document says.\n',
    ...places,
    about,
    ...secrets,
  ].join('')
}

const textsOf = (files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([name, at]) => [name, fs.readFileSync(at, 'utf8')]))

function write(dir: string, name: string, text: string, mode = 0o644): void {
  const file = path.join(dir, name)
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, text, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError(EXIT.usage, `${file} cannot be written (${code}); name another folder`)
  }
}

const readIfThere = (file: string): string =>
  fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''

/** The settings with new secrets; of a file that is there, only what it lacks. */
function writeEnv(dir: string, settings: Policies['settings']): string {
  const file = path.join(dir, '.env')
  const there = readIfThere(file)
  const secret = () => randomBytes(SECRET_BYTES)
  const admin = `pk_${secret().toString('base64url')}`
  const text = settings(fs.readFileSync(path.join(TEMPLATES, 'env'), 'utf8'))
    .replaceAll('{{admin}}', admin)
    .replaceAll('{{webhook}}', `whsec_${secret().toString('base64')}`)
  if (there === '') write(dir, '.env', text, 0o600)
  else appendLacking(file, there, text)
  return '.env'
}

function appendLacking(file: string, there: string, text: string): void {
  const names = parseEnv(there)
  const added = text.split('\n').filter((line) => {
    const [name = ''] = line.split('=', 1)
    return line.includes('=') && names[name] === undefined
  })
  // Its admin is another's key: then the commands ask for one, as they do without a file.
  const isOurs = names['API_TOKENS'] === undefined
  const lines = added.filter((line) => isOurs || !line.startsWith('PORTCULLIS_KEY='))
  if (lines.length > 0) fs.appendFileSync(file, `${afterLine(there)}${lines.join('\n')}\n`)
}

function writeIgnored(dir: string): string {
  const file = path.join(dir, '.gitignore')
  const there = readIfThere(file)
  const known = new Set(there.split('\n').map((line) => line.trim()))
  const wanted = readIfThere(path.join(TEMPLATES, 'gitignore')).trim().split('\n')
  const lacking = wanted.filter((line) => !known.has(line))
  if (lacking.length > 0) fs.appendFileSync(file, `${afterLine(there)}${lacking.join('\n')}\n`)
  return '.gitignore'
}

const afterLine = (text: string): string => (text === '' || text.endsWith('\n') ? '' : '\n')
