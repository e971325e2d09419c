import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { functionsIn } from './support/functions.ts'
import { repeats } from './support/repeats.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const SRC = path.join(ROOT, 'src')

/** What each room may import besides itself; `docs/architecture.md` says why. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  model: [],
  lib: ['model'],
  errors: [],
  config: ['lib'],
  rego: [],
  store: ['model', 'lib', 'errors'],
  sources: ['model', 'lib', 'errors'],
  bundle: ['model', 'lib', 'errors', 'rego', 'sources'],
  engines: ['model', 'lib', 'errors', 'rego', 'sources', 'bundle'],
  policy: ['model', 'lib', 'errors', 'rego', 'sources', 'bundle', 'engines', 'store'],
  decide: ['model', 'lib', 'errors', 'bundle', 'engines', 'policy', 'protocols', 'rego'],
  agents: ['model', 'lib', 'errors', 'store'],
  // Tokens of other people's authorization servers.
  oauth: ['lib', 'config'],
  facts: ['model', 'lib', 'errors', 'store'],
  // Which of two policies decides, while one is on trial.
  canary: ['model', 'lib', 'errors', 'bundle', 'agents', 'record'],
  approvals: ['model', 'lib', 'errors', 'store'],
  control: ['model', 'lib', 'errors', 'store'],
  record: ['model', 'lib', 'errors', 'store'],
  // Reads what the record says; low, because whoever works counts.
  telemetry: ['model'],
  protocols: ['model', 'lib', 'errors', 'bundle', 'record', 'mcp'],
  // `store` for the types of a ledger transaction; statements stay in the rooms.
  mcp: ['model', 'lib', 'errors', 'store'],
  pipeline: [
    ...['model', 'lib', 'errors', 'store', 'facts', 'decide', 'bundle', 'protocols', 'agents'],
    ...['approvals', 'control', 'record', 'telemetry', 'canary'],
  ],
  inquiries: [
    ...['model', 'lib', 'errors', 'store', 'decide', 'bundle', 'agents', 'control', 'record'],
    // Access requests are approvals of questions.
    ...['canary', 'pipeline', 'approvals'],
  ],
  turns: [
    ...['model', 'lib', 'errors', 'store', 'decide', 'bundle', 'protocols', 'agents', 'record'],
    'pipeline',
  ],
  plans: [
    ...['model', 'lib', 'errors', 'store', 'decide', 'bundle', 'protocols', 'agents', 'control'],
    ...['record', 'telemetry', 'pipeline'],
  ],
  rehearsal: [
    ...['model', 'lib', 'errors', 'store', 'decide', 'bundle', 'agents', 'record', 'pipeline'],
    // A replay loads the policy that it asks, in a thread of its own.
    ...['engines', 'policy', 'sources'],
  ],
  operations: [
    ...['model', 'lib', 'errors', 'store', 'decide', 'sources', 'bundle', 'policy', 'agents'],
    ...['approvals', 'control', 'record', 'telemetry', 'pipeline'],
  ],
  // Where a policy is kept, what it was, and how another becomes it.
  lifecycle: [
    ...['model', 'lib', 'errors', 'store', 'rego', 'sources', 'bundle', 'policy', 'decide'],
    ...['agents', 'approvals', 'control', 'record', 'telemetry', 'operations', 'canary'],
  ],
  doors: [
    ...['model', 'lib', 'errors', 'config', 'store', 'sources', 'bundle', 'policy', 'agents'],
    ...['approvals', 'control', 'record', 'protocols', 'telemetry', 'pipeline', 'turns', 'plans'],
    ...['inquiries', 'rehearsal', 'operations', 'lifecycle', 'mcp', 'oauth'],
  ],
  worker: [
    ...['model', 'lib', 'errors', 'store', 'bundle', 'agents', 'approvals', 'control', 'record'],
    ...['telemetry', 'pipeline', 'turns', 'rehearsal', 'operations', 'inquiries'],
  ],
  // Decisions on their way to a sink of others.
  'decision-log': ['model', 'lib', 'config', 'store', 'bundle', 'record', 'telemetry'],
  // Work on a record while no gate runs: composes, as main does.
  maintenance: ['lib', 'config', 'control', 'record', 'store'],
  // What programs of others import: nothing of ours comes with it.
  client: [],
  // For browsers: sees the types of the public API and nothing else of ours.
  dashboard: ['client'],
  cli: [
    'client',
    'model',
    'lib',
    'errors',
    'config',
    'rego',
    'sources',
    'bundle',
    'engines',
    'policy',
    'decide',
    'protocols',
    'main',
    'maintenance',
    'oauth',
  ],
  main: ['*'],
  // The half of main that opens the database and what is kept in it.
  'open-record': [
    ...[
      'lib',
      'agents',
      'config',
      'control',
      'record',
      'store',
      'telemetry',
      'policy',
      'lifecycle',
      'worker',
    ],
  ],
  // The door of the package for programs that run a gate themselves.
  index: ['config', 'errors', 'main'],
}

/** What each inner room of the compiler may import: one direction, from text to machine code. */
const MAY_IMPORT_IN_REGO: Record<string, readonly string[]> = {
  ast: ['diagnostics'],
  builtins: [],
  parser: ['ast', 'builtins', 'diagnostics', 'libraries'],
  checker: ['ast', 'builtins', 'diagnostics'],
  planner: ['ast', 'ir'],
  ir: [],
  codegen: ['ir', 'wasm', 'abi'],
  wasm: [],
  // `rego.parse_module` is a builtin that parses; what is loaded is what `compile` answered.
  host: ['abi', 'libraries', 'parser', 'ast', 'compile'],
  formatter: ['ast', 'parser'],
  // Uses what everybody uses.
  testing: ['index'],
}

/** Written by a program, which is what is kept tidy. */
const GENERATED = new Set([path.join('client', 'api.ts')])

function sources(): string[] {
  return fs
    .readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter(
      (file) => /\.(tsx?|mjs)$/.test(file) && !file.includes('assembly') && !GENERATED.has(file),
    )
}

const roomOf = (file: string): string => (file.split(path.sep)[0] ?? '').replace(/\.ts$/, '')

function imports(file: string): string[] {
  const text = fs.readFileSync(path.join(SRC, file), 'utf8')
  const found = [...text.matchAll(/(?:from|import) '(\.[^']+)'|import\('(\.[^']+)'\)/g)]
  return found.map(([, a, b]) =>
    path.relative(SRC, path.resolve(SRC, path.dirname(file), a ?? b ?? '')),
  )
}

/** What a file imports by name, and where from. */
function imported(file: string): { name: string; from: string }[] {
  const text = fs.readFileSync(path.join(SRC, file), 'utf8')
  return [...text.matchAll(/import (?:type )?\{([^}]*)\} from '(\.[^']+)'/g)].flatMap(
    ([, names = '', from = '']) =>
      names.split(',').map((name) => ({
        name: name.replace(/^\s*type /, '').trim(),
        from: path.relative(SRC, path.resolve(SRC, path.dirname(file), from)),
      })),
  )
}

/** The nodes of some cycle, in order; empty where there is none. */
function cycleIn(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>()
  const walk = (node: string, way: readonly string[]): readonly string[] => {
    const at = way.indexOf(node)
    if (at >= 0) return way.slice(at)
    if (done.has(node)) return []
    for (const next of graph.get(node) ?? []) {
      const found = walk(next, [...way, node])
      if (found.length > 0) return found
    }
    done.add(node)
    return []
  }
  for (const node of graph.keys()) {
    const found = walk(node, [])
    if (found.length > 0) return found
  }
  return []
}

describe('tidy', () => {
  it('keeps the import table: each room imports only what it may', () => {
    const broken: string[] = []
    for (const file of sources()) {
      const room = roomOf(file)
      const allowed = MAY_IMPORT[room]
      if (!allowed) broken.push(`${file}: room ${room} is not in the table`)
      for (const target of imports(file)) {
        const other = roomOf(target)
        if (other === room || allowed?.includes('*') || allowed?.includes(other)) continue
        broken.push(`${file} imports ${target}`)
      }
    }
    expect(broken).to.deep.equal([])
  })

  it('keeps the compiler in one direction', () => {
    const inner = (file: string) => (file.split(path.sep)[1] ?? '').replace(/\.ts$/, '')
    const broken = sources()
      .filter((file) => roomOf(file) === 'rego')
      .flatMap((file) =>
        imports(file)
          .filter((target) => inner(target) !== inner(file))
          .filter(
            (target) =>
              !(MAY_IMPORT_IN_REGO[inner(file)] ?? [inner(target)]).includes(inner(target)),
          )
          .map((target) => `${file} imports ${target}`),
      )
    expect(broken).to.deep.equal([])
  })

  it('has no cycle of rooms, nor of files, types counted', () => {
    const files = new Map(sources().map((file) => [file, imports(file)] as const))
    const rooms = new Map<string, string[]>()
    for (const [file, targets] of files) {
      const others = targets.map(roomOf).filter((room) => room !== roomOf(file))
      rooms.set(roomOf(file), [...(rooms.get(roomOf(file)) ?? []), ...others])
    }
    expect(cycleIn(rooms), 'rooms').to.deep.equal([])
    expect(cycleIn(files), 'files').to.deep.equal([])
  })

  it('constructs the gate in main only, and reads the environment in config only', () => {
    const readers = sources().filter((file) =>
      fs.readFileSync(path.join(SRC, file), 'utf8').includes('process.env'),
    )
    expect(readers).to.deep.equal(['config.ts'])
  })

  it('says SQL in the rooms that own tables only', () => {
    const owners = new Set(['store', 'record', 'agents', 'approvals', 'control', 'mcp'])
    // What a start needs of a database is asked before there is a gate.
    const asking = new Set(['cli/doctor.ts', 'cli/database-rights.ts'])
    const outside = sources().filter(
      (file) =>
        !owners.has(roomOf(file)) &&
        !asking.has(file) &&
        /['`]\s*(?:select\s|insert into\s|update \w+ set\s|delete from\s|with \w+ as \()/i.test(
          fs.readFileSync(path.join(SRC, file), 'utf8'),
        ),
    )
    expect(outside).to.deep.equal([])
  })

  it('lets no row of a table out of the room that owns it', () => {
    const taken = sources().flatMap((file) =>
      imported(file)
        .filter(({ name, from }) => name.endsWith('Row') && roomOf(from) !== roomOf(file))
        .map(({ name, from }) => `${file}: ${name} of ${from}`),
    )
    expect(taken).to.deep.equal([])
  })

  it('says things once: fewer than 40 pairs of places share six lines', () => {
    const texts = sources().map((file) => ({
      file,
      text: fs.readFileSync(path.join(SRC, file), 'utf8'),
    }))
    expect(repeats(texts, 6)).to.have.length.below(40)
  })

  it('knows of the model in its protocol only', () => {
    const outside = sources().filter(
      (file) =>
        !file.startsWith(path.join('protocols', 'model')) &&
        /\b(?:MODEL_[A-Z]+|isModel)\b/.test(fs.readFileSync(path.join(SRC, file), 'utf8')),
    )
    expect(outside).to.deep.equal([])
  })

  it('has no dumping grounds', () => {
    const vague = /(^|\/)(utils?|helpers?|common|services?|misc)(\.ts|\/)/
    expect(sources().filter((file) => vague.test(file))).to.deep.equal([])
  })

  it('has no file beyond 600 lines', () => {
    const long = sources()
      .map(
        (file) => [file, fs.readFileSync(path.join(SRC, file), 'utf8').split('\n').length] as const,
      )
      .filter(([, lines]) => lines > 600)
    expect(long).to.deep.equal([])
  })

  it('has no function beyond 60 lines but declarations of endpoints, grammar and builtins', () => {
    const mayRunLong = /^rego\/(?:parser|builtins|host\/builtins)\/|^rego\/codegen\/function\.ts$/
    const long = sources().flatMap((file) => {
      if (mayRunLong.test(file.split(path.sep).join('/'))) return []
      const text = fs.readFileSync(path.join(SRC, file), 'utf8')
      return functionsIn(file, text)
        .filter(({ name, lines }) => lines > 60 && !name.endsWith('Endpoints'))
        .map(({ name, line, lines }) => `${file}:${line} ${name}: ${lines}`)
    })
    expect(long).to.deep.equal([])
  })

  it('has eleven files at most on the way of one action', () => {
    expect(sources().filter((file) => roomOf(file) === 'pipeline')).to.have.length.at.most(11)
  })

  it('composes in less than 200 lines', () => {
    const lines = fs.readFileSync(path.join(SRC, 'main.ts'), 'utf8').trimEnd().split('\n')
    expect(lines.length).to.be.lessThan(200)
  })

  it('uses named exports only', () => {
    const withDefault = sources().filter((file) =>
      /^export default/m.test(fs.readFileSync(path.join(SRC, file), 'utf8')),
    )
    expect(withDefault).to.deep.equal([])
  })
})
