import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { CliError, EXIT, print } from './exit.ts'
import { ROOT } from './root.ts'

// A new folder holds what a start needs and nothing that is made later. Nothing that is there is written over: a folder
// with policies is refused, and files that others keep as well (.env, .gitignore) get what they lack.

const TEMPLATES = path.join(ROOT, 'ops', 'init')
const SECRET_BYTES = 24

/** Files of the package, by where they stand in the folder. */
const COPIES: Readonly<Record<string, string>> = {
  'policies/gate.yaml': path.join(ROOT, 'policies', 'gate.yaml'),
  'policies/tools.yaml': path.join(ROOT, 'policies', 'tools.yaml'),
  'policies/data/do_not_contact.csv': path.join(ROOT, 'policies', 'data', 'do_not_contact.csv'),
  'policies/tests/support.yaml': path.join(ROOT, 'policies', 'tests', 'support.yaml'),
  'policies/agent.rego': path.join(TEMPLATES, 'policies', 'agent.rego'),
  'policies/agent_test.rego': path.join(TEMPLATES, 'policies', 'agent_test.rego'),
  // The first lines of the policies name them, so an editor checks and completes without settings, too.
  'schemas/gate.schema.json': path.join(ROOT, 'schemas', 'gate.schema.json'),
  'schemas/tools.schema.json': path.join(ROOT, 'schemas', 'tools.schema.json'),
  'schemas/tests.schema.json': path.join(ROOT, 'schemas', 'tests.schema.json'),
}
/** Of an editor's settings, one's own stay. */
const EDITOR: Readonly<Record<string, string>> = {
  '.vscode/settings.json': path.join(TEMPLATES, 'vscode-settings.json'),
  '.vscode/extensions.json': path.join(TEMPLATES, 'vscode-extensions.json'),
}

/** `portcullis init`: makes a folder in which `portcullis start` works. */
export function init(given: string): void {
  const dir = path.resolve(given)
  const taken = Object.keys(COPIES).find((name) => fs.existsSync(path.join(dir, name)))
  if (taken !== undefined) {
    const message = `${path.join(given, taken)} is there already, and nothing is written over; name another folder`
    throw new CliError(EXIT.usage, message)
  }
  const written = Object.entries(COPIES).map(([name, from]) => copy(dir, name, from))
  for (const [name, from] of Object.entries(EDITOR)) {
    if (!fs.existsSync(path.join(dir, name))) written.push(copy(dir, name, from))
  }
  written.push(writeEnv(dir), writeIgnored(dir))
  for (const name of written.toSorted()) print(`  ${name}`)
  const there = given === '.' ? '' : `cd ${given}\n  `
  print(`
  ${there}portcullis start              the gate, with a demo ticketing system behind it
  portcullis test               what these policies promise
  portcullis approvals list     in another shell, once something is held

  With npm, each is \`npx portcullis ...\`.`)
}

function copy(dir: string, name: string, from: string): string {
  write(dir, name, fs.readFileSync(from, 'utf8'))
  return name
}

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
function writeEnv(dir: string): string {
  const file = path.join(dir, '.env')
  const there = readIfThere(file)
  const secret = () => randomBytes(SECRET_BYTES)
  const admin = `pk_${secret().toString('base64url')}`
  const text = fs
    .readFileSync(path.join(TEMPLATES, 'env'), 'utf8')
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
