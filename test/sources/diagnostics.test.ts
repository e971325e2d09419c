import { expect } from 'chai'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import {
  type Diagnostic,
  loadBundle,
  POLICY_LIMITS,
  printDiagnostics,
} from '../../src/policy/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import {
  type Files,
  findingsOf,
  GATE,
  gateWith,
  OPTIONS,
  sampleFiles,
  TOOLS,
} from '../policy/sample.ts'

interface Case {
  readonly code: string
  readonly files: Files
  /** `line:col`, and the file when it is not gate.yaml. */
  readonly at?: string
  readonly hint?: string
}

const gate = (text: string): Files => ({ 'gate.yaml': text })
const tools = (from: string, to: string): Files => ({ 'tools.yaml': TOOLS.replace(from, to) })
const guard = (text: string): Files => gate(gateWith(`{ id: g, ${text} }`))
const deep = (open: string, close: string, n: number): string => open.repeat(n) + close.repeat(n)

const PUT_HEADER = 'the first row names the columns: put `email` above the addresses'
const LISTED = 'kind: do_not_contact, tools: [notes.write], lists: [l]'
const list = (file: string, text: string, at: string, hint = '', more = ''): Case => ({
  code: 'bad_list_entry',
  files: { ...guard(LISTED + more), [file]: text },
  at: `${file}:${at}`,
  ...(hint === '' ? {} : { hint }),
})

// What could match nobody, so that whoever it means would be written to.
const BAD_LISTS: readonly Case[] = [
  list('data/l.csv', 'bob@x.org\nann@x.org\n', '1:1', PUT_HEADER),
  list('data/l.csv', '# one\nbob@x.org\n', '2:1', PUT_HEADER),
  list('data/l.csv', 'name,reason\nBob,asked\n', '1:1'),
  list('data/l.csv', 'emial,id\nbob@x.org,7\n', '1:1', 'did you mean `email`?', ', ids: true'),
  list('data/l.csv', 'e-mail,id\nbob@x.org,7\n', '1:1', 'did you mean `email`?', ', ids: true'),
  list('data/l.csv', 'user_email,id\n,1\nb@x.org,7\n', '3:1', undefined, ', ids: true'),
  list('data/l.csv', 'email,id\nbob@x.org,1\nbob,2\n', '3:1', undefined, ', ids: true'),
  list('data/l.csv', 'id\n7\n', '2:1'),
  list(
    'data/l.yaml',
    '- b@x.org\n- x.org\n',
    '2:3',
    'write `@x.org` for a domain, or set `ids: true` where recipients are ids',
  ),
  list('data/l.yaml', '- b@x.org\n- { id: 42 }\n', '2:3'),
  list('data/l.yaml', '- { id: 4.5 }\n', '1:3', undefined, ', ids: true'),
  list('data/l.yaml', '- { id: true }\n', '1:3', undefined, ', ids: true'),
  list('data/l.yaml', '- [a]\n', '1:3', undefined, ', ids: true'),
  list(
    'data/l.yaml',
    '- { id: 1, mail: b@x.org }\n',
    '1:3',
    'did you mean `email`?',
    ', ids: true',
  ),
  list('data/l.json', '[\n "b@x.org",\n null]', '3:2'),
  list('data/l.json', '[\n {"email": "b@x.org"}, {"email": ""}]', '2:24'),
  { code: 'yaml_number', files: { 'data/l.yaml': '- { id: 007 }\n' }, at: 'data/l.yaml:1:9' },
]

const CASES: readonly Case[] = [
  { code: 'yaml_syntax', files: gate('version: 1\n  environment: x\n'), at: 'gate.yaml:1:10' },
  {
    code: 'yaml_syntax',
    files: gate('version: 1\nbudgets:\n\tx: 1\n'),
    at: 'gate.yaml:3:1',
    hint: 'indent with spaces',
  },
  { code: 'yaml_empty', files: gate('# nothing\n') },
  { code: 'yaml_anchor', files: gate(`${GATE}plans: &p {}\n`), at: 'gate.yaml:6:11' },
  { code: 'yaml_alias', files: gate('version: 1\nenvironment: *e\n') },
  { code: 'yaml_merge_key', files: gate(`${GATE}<<: { a: 1 }\n`), at: 'gate.yaml:6:1' },
  { code: 'yaml_tag', files: gate(`${GATE}plans: !!map {}\n`) },
  { code: 'yaml_tag', files: gate(`${GATE}plans: !own {}\n`) },
  { code: 'yaml_multiple_documents', files: gate(`${GATE}---\nversion: 1\n`), at: 'gate.yaml:6:1' },
  { code: 'duplicate_key', files: gate(`${GATE}version: 1\n`), at: 'gate.yaml:6:1' },
  { code: 'yaml_number', files: guard('kind: bulk_limit, max_items: .inf') },
  { code: 'yaml_number', files: guard('kind: bulk_limit, max_items: 1e400') },
  { code: 'yaml_number', files: guard('kind: bulk_limit, max_items: 9007199254740993') },
  { code: 'yaml_key', files: gate(`${GATE}7: x\n`) },
  { code: 'yaml_key', files: gate(`${GATE}__proto__: { environment: x }\n`) },
  { code: 'yaml_key', files: gate(`${GATE}? [a]\n: x\n`) },
  { code: 'yaml_too_deep', files: gate(`a: ${deep('[', ']', 40)}\n`) },
  { code: 'yaml_too_deep', files: gate(`a: ${deep('[', ']', 100_000)}\n`) },
  { code: 'yaml_too_deep', files: gate(`${'- '.repeat(5000)}a\n`) },
  { code: 'yaml_too_deep', files: gate(`${'? '.repeat(5000)}a\n`) },
  { code: 'yaml_syntax', files: gate(`${': '.repeat(50)}a\n`) },
  {
    code: 'yaml_too_deep',
    files: gate(Array.from({ length: 300 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')),
  },
  {
    code: 'unknown_key',
    files: gate(`${GATE}ratelimits: []\n`),
    at: 'gate.yaml:6:1',
    hint: 'did you mean `rate_limits`?',
  },
  {
    code: 'unknown_key',
    files: guard('kind: bulk_limit, max_item: 1'),
    hint: 'did you mean `max_items`?',
  },
  {
    code: 'unknown_key',
    files: guard('kind: bulk_limit, max_items: 1, rolse: [a]'),
    hint: 'did you mean `roles`?',
  },
  { code: 'missing_key', files: gate('version: 1\n') },
  {
    code: 'missing_key',
    files: gate(`${GATE}guards: [{ kind: bulk_limit, max_items: 1 }]\n`),
    at: 'gate.yaml:6:10',
  },
  {
    code: 'unknown_value',
    files: gate(GATE.replace('effect: allow', 'effect: alow')),
    at: 'gate.yaml:4:68',
    hint: 'did you mean `allow`?',
  },
  { code: 'unknown_value', files: guard('kind: bulk_limit, max_items: 1, mode: on') },
  { code: 'wrong_type', files: guard('kind: bulk_limit, max_items: many') },
  {
    code: 'wrong_value',
    files: gate(GATE.replace('version: 1', 'version: 2')),
    at: 'gate.yaml:1:10',
  },
  { code: 'missing_file', files: { 'gate.yaml': undefined } },
  {
    code: 'unknown_guard_kind',
    files: guard('kind: bulk_limits, max_items: 1'),
    hint: 'did you mean `bulk_limit`?',
  },
  {
    code: 'duplicate_guard_id',
    files: gate(
      gateWith(
        '{ id: a, kind: bulk_limit, max_items: 1 }',
        '{ id: a, kind: bulk_limit, max_items: 2 }',
      ),
    ),
    at: 'gate.yaml:8:5',
  },
  {
    code: 'no_such_tool',
    files: gate(GATE.replace('notes.list', 'note.list')),
    at: 'gate.yaml:4:32',
    hint: 'did you mean `notes.list`?',
  },
  { code: 'no_such_tool', files: gate(`${GATE}approvals: { rules: [{ tools: ['x*'] }] }\n`) },
  {
    code: 'no_such_tool',
    files: tools('items: /lines', 'facts: { f: { tool: notes.gett } }'),
    hint: 'did you mean `notes.get`?',
  },
  { code: 'fact_not_read', files: tools('items: /lines', 'facts: { f: { tool: notes.write } }') },
  {
    code: 'no_such_arg',
    files: tools('items: /lines', 'items: /line'),
    hint: 'did you mean `lines`?',
  },
  {
    code: 'no_such_arg',
    files: tools('items: /lines', 'facts: { f: { tool: notes.get, args: { idd: /id } } }'),
  },
  {
    code: 'no_such_arg',
    files: guard('kind: path_whitelist, tools: [notes.write], allowed_dirs: [a], paths: [/fil]'),
  },
  {
    code: 'no_such_arg',
    files: tools(
      'resource: { type: note, id_arg: id }\n  notes.write',
      'resource: { type: note, id_arg: di }\n  notes.write',
    ),
  },
  { code: 'bad_pointer', files: tools('items: /lines', 'items: /li~2nes') },
  {
    code: 'no_such_upstream',
    files: tools('upstream: notes', 'upstream: note'),
    hint: 'did you mean `notes`?',
  },
  { code: 'bad_base_url', files: tools('http://127', 'ftp://127') },
  { code: 'bad_base_url', files: tools('http://127', 'http://a:b@127') },
  { code: 'bad_base_url', files: tools('9999/api', '9999/api?x=1') },
  { code: 'bad_base_url', files: tools('9999/api', '9999/api#x') },
  { code: 'bad_base_url', files: tools('9999/api', '9999/a/../b') },
  { code: 'env_missing', files: tools(`'http://127.0.0.1:9999/api'`, "'${NOTES_URL}'") },
  { code: 'bad_path_template', files: tools('/notes/{id}', '/notes/{id}{n}') },
  { code: 'bad_path_template', files: tools('/notes/{id}', '/notes//{id}') },
  { code: 'bad_path_template', files: tools('/notes/{id}', '/notes/../{id}') },
  { code: 'bad_path_param', files: tools('/notes/{id}', '/notes/{ix}') },
  { code: 'bad_path_param', files: tools('required: [id], ', '') },
  { code: 'bad_query_arg', files: tools('query: [tag,', 'query: [tags,') },
  {
    code: 'bad_schema',
    files: tools(
      '{ type: object, required: [id], properties: { id: { type: string } } }',
      '{ type: array }',
    ),
  },
  { code: 'bad_schema', files: tools('id: { type: string } } }', 'id: { type: strin } } }') },
  {
    code: 'bad_schema',
    files: tools('id: { type: string } } }', `id: { type: string, pattern: '(a)\\1' } } }`),
  },
  {
    code: 'bad_schema',
    files: tools('id: { type: string } } }', 'id: { type: string } }, $async: true }'),
  },
  {
    code: 'bad_schema',
    files: tools('{ type: array, items: { type: string } }', '{ type: array, uniqueItems: true }'),
  },
  { code: 'bad_schema', files: guard('kind: args_schema, schema: { nonsense: 1 }') },
  {
    code: 'bad_schema',
    files: tools('id: { type: string } } }', 'id: { type: string, maxLenth: 9 } } }'),
    at: 'tools.yaml:19:77',
    hint: 'did you mean `maxLength`?',
  },
  {
    code: 'bad_schema',
    files: guard('kind: args_schema, schema: { properties: { nots: { maxLenth: 9 } } }'),
    hint: 'did you mean `maxLength`?',
  },
  {
    code: 'route_collision',
    files: tools('path: /notes/{id}\n    effect: read', 'path: /notes\n    effect: read\n'),
  },
  {
    code: 'bad_regex',
    files: guard(`kind: risk_patterns, patterns: [{ name: p, pattern: 'x(?=a)' }]`),
    hint: 'RE2 syntax: no look-around, no back-references',
  },
  {
    code: 'bad_regex',
    files: guard(`kind: risk_patterns, patterns: [{ name: p, pattern: '((a{100}){100}){10}' }]`),
  },
  {
    code: 'bad_path_rule',
    files: guard('kind: path_whitelist, tools: [notes.write], allowed_dirs: [../x]'),
  },
  {
    code: 'bad_path_rule',
    files: guard(
      `kind: path_whitelist, tools: [notes.write], allowed_dirs: [x], deny_globs: ['{a']`,
    ),
  },
  { code: 'bad_path_rule', files: gate(`${GATE}plans: { allowed_dirs: ['a/../b'] }\n`) },
  {
    code: 'mask_matches_nothing',
    files: gate(`${GATE}record: { mask: [/args/nowhere/at/all] }\n`),
  },
  { code: 'bad_pointer', files: gate(`${GATE}record: { mask: [/result/status] }\n`) },
  {
    code: 'missing_price',
    files: gate(`${GATE}llm: { model: gtp-4, prices: { gpt-4: { input: '1', output: '2' } } }\n`),
    hint: 'did you mean `gpt-4`?',
  },
  {
    code: 'wrong_value',
    files: gate(`${GATE}llm: { model: m, prices: { m: { input: '-1', output: '2' } } }\n`),
  },
  {
    code: 'wrong_type',
    files: gate(`${GATE}llm: { model: m, prices: { m: { input: 0.5, output: '2' } } }\n`),
  },
  { code: 'missing_key', files: gate(`${GATE}llm: { model: m, prices: { m: { input: '1' } } }\n`) },
  {
    code: 'reserved_name',
    files: tools('  notes.list:', '  llm.chat:'),
    at: 'tools.yaml:5:3',
  },
  {
    code: 'reserved_name',
    files: tools('  notes: {', "  llm: { base_url: 'http://x' }\n  notes: {"),
  },
  {
    code: 'no_such_data',
    files: guard('kind: do_not_contact, tools: [notes.write], lists: [nobody]'),
  },
  {
    code: 'bad_list_entry',
    files: {
      ...guard('kind: do_not_contact, tools: [notes.write], lists: [l]'),
      'data/l.json': '["Bob <b@x.org>"]',
    },
  },
  {
    code: 'bad_list_entry',
    files: {
      ...guard('kind: do_not_contact, tools: [notes.write], lists: [l]'),
      'data/l.json': '{"a": 1}',
    },
  },
  {
    code: 'bad_list_entry',
    files: {
      ...guard('kind: do_not_contact, tools: [notes.write], lists: [l]'),
      'data/l.csv': 'mail\nb@x.org\n',
    },
  },
  ...BAD_LISTS,
  {
    code: 'no_such_fact',
    files: guard(
      'kind: do_not_contact, tools: [notes.write], flag: { fact: customer, pointer: /x }',
    ),
  },
  { code: 'nothing_to_check', files: guard('kind: do_not_contact, tools: [notes.get], lists: []') },
  {
    code: 'nothing_to_check',
    files: guard('kind: path_whitelist, tools: [notes.get], allowed_dirs: [x]'),
  },
  {
    code: 'nothing_to_check',
    files: guard(
      'kind: bulk_limit, tools: [notes.get], windows: [{ count: recipients, limit: 1, per_s: 1 }]',
    ),
  },
  { code: 'bad_timezone', files: guard('kind: time_window, timezone: Mars/Olympus, days: [mon]') },
  {
    code: 'bad_timezone',
    files: guard(
      `kind: do_not_contact, tools: [notes.write], quiet_hours: { from: '20:00', to: '08:00', timezone: X }`,
    ),
  },
  {
    code: 'bad_time_span',
    files: guard(`kind: time_window, timezone: UTC, from: '08:00', to: '08:00'`),
  },
  { code: 'rego_unsupported', files: { 'agent.rego': 'package agent' }, at: 'agent.rego:1:1' },
  { code: 'json_syntax', files: { 'data/a.json': '{"a": 1,}' }, at: 'data/a.json:1:9' },
  { code: 'json_syntax', files: { 'data/a.json': '"\\ud800"' } },
  { code: 'json_number', files: { 'data/a.json': '[1e999]' } },
  { code: 'json_too_deep', files: { 'data/a.json': deep('[', ']', 100_000) } },
  {
    code: 'duplicate_key',
    files: { 'data/a.json': '{\n "a": 1,\n "a": 2}' },
    at: 'data/a.json:3:2',
  },
  { code: 'csv_syntax', files: { 'data/a.csv': 'a,b\n"x,y\n' }, at: 'data/a.csv:2:1' },
  { code: 'csv_header', files: { 'data/a.csv': 'a,a\n1,2\n' } },
  { code: 'csv_columns', files: { 'data/a.csv': 'a,b\n1,2\n3\n' }, at: 'data/a.csv:3:1' },
  { code: 'bad_data_name', files: { 'data/deep/a.json': '1' } },
  { code: 'duplicate_data', files: { 'data/a.json': '1', 'data/a.yaml': 'b' } },
  {
    code: 'not_utf8',
    files: { 'data/a.json': Buffer.from([0x22, 0xff, 0x22]) },
    at: 'data/a.json:1:2',
  },
  {
    code: 'not_utf8',
    files: { 'data/a.csv': Buffer.concat([Buffer.from('id\nä'), Buffer.from([0xe2, 0x82, 0x0a])]) },
    at: 'data/a.csv:2:2',
    hint: 'save the file as UTF-8',
  },
  { code: 'bad_file_name', files: { '../gate.yaml': 'x' } },
  { code: 'file_too_large', files: { 'gate.yaml': ' '.repeat(POLICY_LIMITS.yamlBytesMax + 1) } },
  { code: 'file_too_large', files: { 'a.wasm': ' '.repeat(POLICY_LIMITS.fileBytesMax + 1) } },
  {
    code: 'file_too_large',
    files: { 'data/a.csv': Buffer.alloc(POLICY_LIMITS.dataBytesMax + 1) },
  },
  {
    code: 'file_too_large',
    files: { 'data/a.yaml': ' '.repeat(POLICY_LIMITS.yamlBytesMax + 1) },
    hint: 'write long lists as CSV or JSON',
  },
  {
    code: 'too_many_files',
    files: Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`x${n}.txt`, ''])),
  },
  {
    code: 'too_large',
    files: Object.fromEntries(
      Array.from({ length: 25 }, (_, n) => [
        `x${n}.wasm`,
        Buffer.alloc(POLICY_LIMITS.fileBytesMax),
      ]),
    ),
  },
]

describe('policy diagnostics', () => {
  it('name a key that stands twice, and where it stands first', async () => {
    const [yaml] = await findingsOf(gate(`${GATE}environment: staging\n`))
    expect(yaml).to.deep.include({
      line: 6,
      col: 1,
      end: { line: 6, col: 12 },
      message: 'duplicate key `environment`, first on line 2',
    })
    const [json] = await findingsOf({ 'data/a.json': '{\n "a": 1,\n "b": 2, "a": 3}' })
    expect(json).to.deep.include({
      line: 3,
      col: 10,
      end: { line: 3, col: 13 },
      message: 'duplicate key `a`, first on line 2',
    })
  })

  it('say of a value how it is written, from what was written', async () => {
    const hints = async (files: Files) => (await findingsOf(files)).map(({ hint }) => hint)
    expect(await hints(tools("cost: '0.01'", 'cost: 5.00'))).to.deep.equal([
      "put it in quotes: '5.00'",
    ])
    expect(await hints(tools("cost: '0.01'", "cost: '5,00'"))).to.deep.equal([
      "an amount in quotes, such as '5.00'",
    ])
    expect(await hints(guard('kind: bulk_limit, max_items: many'))).to.deep.equal([
      'a number, without quotes',
    ])
    expect(await hints(guard('kind: path_whitelist, allowed_dirs: docs'))).to.deep.equal([
      'a list: [docs]',
    ])
  })

  it('end where the value ends that they are about', async () => {
    const [found] = await findingsOf(guard('kind: bulk_limit, max_items: many'))
    expect(found).to.deep.include({ line: 7, col: 43, end: { line: 7, col: 47 } })
  })

  it('suggest what an undefined name in Rego was meant to be', async () => {
    const of = async (rules: string) => {
      const files = {
        'agent.rego': `package agent\n\nimport data.frozen\n\n${rules}\n`,
        'data/frozen.json': '[]',
      }
      const found = await findingsOf(files, { compiler: REGO_COMPILER })
      return found.map(({ code, line, col, end, hint }) => [code, line, col, end.col, hint])
    }
    expect(await of('deny contains "x" if input.resource.id in frozzen')).to.deep.equal([
      ['rego_unsafe_var_error', 5, 43, 50, 'did you mean `frozen`?'],
    ])
    expect(await of('deny contains "x" if late\n\nlater if true')).to.deep.equal([
      ['rego_unsafe_var_error', 5, 22, 26, 'did you mean `later`?'],
    ])
    expect((await of('deny contains "x" if startwith(input.resource.id, "a")'))[0]).to.include(
      'did you mean `startswith`?',
    )
    expect(
      (await of('deny contains "x" if isbad("a")\n\nis_bad(x) if x == frozen[_]'))[0],
    ).to.include('did you mean `is_bad`?')
  })

  for (const [index, one] of CASES.entries()) {
    it(`${one.code} (${index})`, async () => {
      const found = await findingsOf(one.files)
      const match = found.filter((finding) => finding.code === one.code)
      expect(match, JSON.stringify(found).slice(0, 600)).to.have.length.above(0)
      if (one.at) expect(match.map(place)).to.include(one.at)
      if (one.hint) expect(match.map((finding) => finding.hint)).to.include(one.hint)
      for (const finding of found) {
        const { line, col, end, hint } = finding
        expect(Math.min(line, col), JSON.stringify(finding)).to.be.at.least(1)
        expect(end.line > line || (end.line === line && end.col >= col)).to.equal(true)
        expect(hint, `${finding.code} says nothing to write instead`).to.be.a('string')
      }
    })
  }

  it('are all documented', () => {
    const docs = readFileSync(new URL('../../docs/policies.md', import.meta.url), 'utf8')
    const missing = CASES.map((one) => one.code).filter((code) => !docs.includes(`\`${code}\``))
    expect([...new Set(missing)]).to.deep.equal([])
  })

  it('come all together, sorted, and not without end', async () => {
    const found = await findingsOf({
      'gate.yaml': `${GATE}x: 1\ny: 2\n`,
      'tools.yaml': TOOLS.replaceAll('upstream: notes', 'upstream: other'),
    })
    expect(found.map((one) => `${one.file}:${one.line}`)).to.deep.equal([
      'gate.yaml:6',
      'gate.yaml:7',
      'tools.yaml:6',
      'tools.yaml:15',
      'tools.yaml:22',
    ])
    const keys = Array.from({ length: 500 }, (_, n) => `k${n}: 1\n`).join('')
    const many = await findingsOf({ 'gate.yaml': GATE + keys })
    expect(many).to.have.length(POLICY_LIMITS.diagnosticsMax)
    expect(many.at(-1)?.message).to.equal('401 more findings not shown')
  })

  it('only warn of files of an unknown kind', async () => {
    const result = await loadBundle(sampleFiles({ 'README.md': 'x', 'gate.yml': 'x' }), OPTIONS)
    if (!result.ok) throw new Error('does not load')
    const brief = result.bundle.warnings.map((one) => [one.file, one.code, one.hint])
    expect(brief).to.deep.equal([
      ['README.md', 'unknown_file', 'remove it, or let its name begin with a dot'],
      ['gate.yml', 'unknown_file', 'did you mean `gate.yaml`?'],
    ])
  })

  it('print with the line they mean and a caret', async () => {
    const result = await loadBundle(sampleFiles(gate(`${GATE}ratelimits: []\n`)), OPTIONS)
    if (result.ok) throw new Error('loads')
    expect(
      printDiagnostics(result.diagnostics, result.files),
    ).to.equal(`error[unknown_key] unknown key \`ratelimits\`
  --> gate.yaml:6:1
  |
6 | ratelimits: []
  | ^^^^^^^^^^
   = help: did you mean \`rate_limits\`?

1 error in 1 file`)
  })

  it('come from any text: loading never throws', async () => {
    const marks = [
      '- ',
      '? ',
      ': ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '!t ',
      '<<',
      '|',
      '>',
      '"',
      "'",
      '#',
      '\n',
      '\n  ',
      '%',
      '---\n',
    ]
    const words = [
      'version',
      'tools',
      'guards',
      'kind',
      'bulk_limit',
      'id',
      '1',
      'a',
      '\u0000',
      '\ud800',
    ]
    const text = fc
      .array(fc.constantFrom(...marks, ...words), { maxLength: 60 })
      .map((all) => all.join(''))
    const cut = fc.tuple(fc.nat(GATE.length), fc.nat(20), text)
    await fc.assert(
      fc.asyncProperty(text, cut, async (whole, [at, length, part]) => {
        const edited = GATE.slice(0, at) + part + GATE.slice(at + length)
        for (const gate of [whole, edited]) {
          const files = sampleFiles({
            'gate.yaml': gate,
            'data/x.yaml': whole,
            'data/y.json': whole,
            'data/z.csv': whole,
            'tests/w.yaml': whole,
          })
          const result = await loadBundle(files, OPTIONS)
          if (!result.ok)
            expect(printDiagnostics(result.diagnostics, result.files)).to.contain('error[')
        }
      }),
      { numRuns: 300 },
    )
  })

  it('never let what is in a file steer the terminal', async () => {
    const found: Diagnostic[] = [
      {
        file: 'a',
        line: 1,
        col: 1,
        end: { line: 1, col: 2 },
        code: 'x',
        message: 'a\u001b[2Jb',
        severity: 'error',
        hint: '\u202e',
      },
    ]
    const text = printDiagnostics(found, new Map([['a', 'x\u001b]0;t\u0007']]))
    expect(text).to.not.match(/\p{Cf}|(?!\n)\p{Cc}/u)
    expect(text).to.include('a\\u{1b}[2Jb')
    const archive = printDiagnostics(found, new Map([['a', '\u001f\ufffd\u0008\u0000']]))
    expect(archive).to.not.match(/^\d+ \|/m)
  })
})

const place = (one: Diagnostic): string => `${one.file}:${one.line}:${one.col}`
