import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { KINDS } from '../../src/decide/index.ts'
import { moduleInput } from '../../src/decide/module-input.ts'
import { type Diagnostic, loadBundle } from '../../src/policy/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { missingInput } from '../../src/engines/rego-input.ts'
import { closeAll } from '../../src/policy/load.ts'
import { facts, request } from '../decide/asking.ts'
import { type Files, OPTIONS, sampleFiles } from '../policy/sample.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const DENY = 'deny contains "no" if input.action.name == "notes.get"\n'
const FROZEN = {
  'data/frozen.yaml': 'notes: [n-9]\nlimits: { day: 5 }\nnothing: {}\nowners: [{ name: x }]\n',
}

async function load(change: Files): Promise<readonly Diagnostic[]> {
  const options = { ...OPTIONS, compiler: REGO_COMPILER }
  const result = await loadBundle(sampleFiles({ ...FROZEN, ...change }), options)
  if (!result.ok) return result.diagnostics
  await closeAll(result.bundle.modules)
  return []
}

const agent = (text: string): Files => ({ 'agent.rego': `package agent\n\n${text}` })

/** What is found, as `code file:line:col hint`. */
const said = (found: readonly Diagnostic[]): string[] =>
  found.map(({ code, file, line, col, hint }) => `${code} ${file}:${line}:${col} ${hint ?? ''}`)

interface Case {
  readonly what: string
  readonly files: Files
  /** `code file:line:col` and a part of the hint; none: it loads. */
  readonly finds: readonly string[]
}

const CASES: readonly Case[] = [
  {
    what: 'a package whose name is nearly the one that is asked',
    files: { 'a.rego': `package agents\n\n${DENY}` },
    finds: ['unreachable_package a.rego:1:1 did you mean `package agent`?'],
  },
  {
    what: 'a package that only its tests read',
    files: {
      'rules.rego': `package rules\n\n${DENY}`,
      'rules_test.rego': `package rules_test\n\ntest_it if count(data.rules.deny) == 1 with input.action.name as "notes.get"\n`,
    },
    finds: ['unreachable_package rules.rego:1:1 read it from package `agent`'],
  },
  {
    what: 'tests in a file that is not named as one',
    files: { 'tests.rego': 'package agent_tests\n\ntest_it if true\n' },
    finds: ['unreachable_package tests.rego:1:1 tests stand in files'],
  },
  {
    what: 'a rule whose name is nearly one of the four',
    files: agent(DENY.replace('deny', 'denny')),
    finds: ['unknown_rule agent.rego:3:1 did you mean `deny`?'],
  },
  {
    what: 'a rule beside the four that nothing reads, but not what only that rule reads',
    files: agent(`${DENY}\nspare if inner(1)\n\ninner(x) if x > 0\n`),
    finds: ['unknown_rule agent.rego:5:1 the gate asks for allow, deny'],
  },
  {
    what: 'a function that nothing calls',
    files: agent(`${DENY}\nlisted(x) if x in data.frozen.notes\n`),
    finds: ['unknown_rule agent.rego:5:1 the gate asks for'],
  },
  {
    what: 'a helper of the policy that only tests read',
    files: {
      ...agent(`${DENY}\nsample := {"action": {"name": "notes.get"}}\n`),
      'agent_test.rego':
        'package agent_test\n\ntest_it if count(data.agent.deny) == 1 with input as data.agent.sample\n',
    },
    finds: ['unknown_rule agent.rego:5:1 only tests read it'],
  },
  {
    what: 'a rule that decides, but stands among the tests',
    files: { ...agent(DENY), 'more_test.rego': 'package agent\n\nrequire_approval contains "x"\n' },
    finds: ['unknown_rule more_test.rego:3:1 move it out'],
  },
  {
    what: 'rules of a package that is read, if nothing reads them',
    files: {
      ...agent('import data.lib\n\ndeny contains "no" if lib.bad\n'),
      'lib.rego': 'package lib\n\nbad if input.action.name == "x"\n\nunread := 1\n',
    },
    finds: ['unknown_rule lib.rego:5:1 # portcullis: library'],
  },
  {
    what: 'a member that `input` cannot have',
    files: agent('deny contains "no" if input.acton.name == "notes.get"\n'),
    finds: ['no_such_input agent.rego:3:29 did you mean `action`?'],
  },
  {
    what: 'such a member in brackets, in a call, a comprehension, a template and a `some`',
    files: agent(`deny contains "a" if input["acton"].name == "x"
deny contains "b" if count(input.subjct.properties.roles) == 0
deny contains "c" if {
  names := [name | name := input.action.nam]
  names[0] == "x"
}
deny contains $"d {input.resorce.id}"
deny contains "e" if some role in input.subject.role
`),
    finds: [
      'no_such_input agent.rego:3:28 did you mean `action`?',
      'no_such_input agent.rego:4:34 did you mean `subject`?',
      'no_such_input agent.rego:6:41 did you mean `name`?',
      'no_such_input agent.rego:9:26 did you mean `resource`?',
      'no_such_input agent.rego:10:49 `input.subject` has type, id, properties',
    ],
  },
  {
    what: 'a member that is none through an import and a variable',
    files: agent(`import input.action as act

deny contains "a" if act.nme == "x"
deny contains "b" if {
  asked := input.resource
  asked.ident == "x"
}
`),
    finds: [
      'no_such_input agent.rego:5:26 did you mean `name`?',
      'no_such_input agent.rego:8:9 `input.resource` has',
    ],
  },
  {
    what: 'a member that is none through the parameter of a function, and of one that hands it on',
    files: agent(`deny contains "a" if f(input)
deny contains "b" if g(input.action)
deny contains "c" if {
  asked := input
  f(asked)
}
f(i) if i.acton.name == "x"
g(a) if h(a, "x")
h(a, name) if a.nme == name
deny contains "d" if k(data.frozen)
k(d) if d.nots[_] == "x"
`),
    finds: [
      'no_such_input agent.rego:9:11 did you mean `action`?',
      'no_such_input agent.rego:11:17 did you mean `name`?',
      'no_such_data agent.rego:13:11 did you mean `notes`?',
    ],
  },
  {
    what: 'nothing through a parameter that somebody gives something else',
    files: agent(`deny contains "a" if f(input)
deny contains "b" if f({"acton": {"name": "x"}})
deny contains "c" if g(input.subject)
deny contains "d" if g(input.action)
deny contains "e" if h(input) with input as {"own": "x"}
f(i) if i.acton.name == "x"
g(x) if x.name == "x"
h(i) if i.own == "x"
`),
    finds: [],
  },
  {
    what: 'a member that is none in the path of object.get',
    files: agent(`deny contains "a" if object.get(input, ["action", "naem"], "") == "x"
deny contains "b" if object.get(input.action, "nme", "") == "x"
deny contains "c" if object.get(input, ["context", "session", "id"], "") == "x"
`),
    finds: [
      'no_such_input agent.rego:3:51 did you mean `name`?',
      'no_such_input agent.rego:4:47 did you mean `name`?',
    ],
  },
  {
    what: 'what is inside a single value, and members of the action that the gate does not give',
    files: agent(`deny contains "a" if input.action.name.first == "x"
deny contains "b" if input.action.properties.arg.id == "x"
deny contains "c" if input.context.now == input.context.enviroment
`),
    finds: [
      'no_such_input agent.rego:3:40 `input.action.name` has no members',
      'no_such_input agent.rego:4:46 did you mean `args`?',
      'no_such_input agent.rego:5:57 did you mean `environment`?',
    ],
  },
  {
    what: 'nothing of what may be anything: properties, args, facts and the context',
    files: agent(`deny contains "a" if input.subject.properties.team == "x"
deny contains "b" if input.action.properties.args.any.thing == "x"
deny contains "c" if input.context.facts.customer.vip
deny contains "d" if input.context.session == "x"
deny contains "e" if input.resource.properties.owner == "x"
deny contains "f" if input[_].id == "x"
`),
    finds: [],
  },
  {
    what: 'a document that is not in the directory',
    files: agent('deny contains "no" if input.resource.id in data.frozn.notes\n'),
    finds: ['no_such_data agent.rego:3:49 did you mean `frozen`?'],
  },
  {
    what: 'a member that a document does not have',
    files: agent(`deny contains "a" if input.resource.id in data.frozen.note
deny contains "b" if data.frozen.limits.days > 1
deny contains "c" if data.frozen.limits.day.hour > 1
deny contains "d" if data.frozen.owners[_].nme == "x"
`),
    finds: [
      'no_such_data agent.rego:3:55 did you mean `notes`?',
      'no_such_data agent.rego:4:41 did you mean `day`?',
      'no_such_data agent.rego:5:45 `data.frozen.limits.day` has no members',
      'no_such_data agent.rego:6:44 did you mean `name`?',
    ],
  },
  {
    what: 'a member that a row does not have, where rows are gone through by name',
    files: {
      ...agent(`deny contains "a" if {
  some owner in data.frozen.owners
  owner.nme == "x"
}
deny contains "b" if {
  some i, owner in data.frozen.owners
  owner.naem == i
}
deny contains "c" if every owner in data.frozen.owners { owner.nmae == "x" }
deny contains "d" if count([owner | some owner in data.frozen.owners; owner.mane == "x"]) > 0
deny contains "e" if {
  some row in data.listed
  row.emial == input.resource.id
}
deny contains "f" if {
  some {"nam": name} in data.frozen.owners
  name == "x"
}
deny contains "g" if matches(data.frozen.owners)
matches(owners) if {
  some owner in owners
  owner.nime == "x"
}
`),
      'data/listed.csv': 'email,until\na@b.c,2026-01-01\n',
    },
    finds: [
      'no_such_data agent.rego:5:9 did you mean `name`?',
      'no_such_data agent.rego:9:9 did you mean `name`?',
      'no_such_data agent.rego:11:64 did you mean `name`?',
      'no_such_data agent.rego:12:77 did you mean `name`?',
      'no_such_data agent.rego:15:7 did you mean `email`?',
      'no_such_data agent.rego:18:9 did you mean `name`?',
      'no_such_data agent.rego:24:9 did you mean `name`?',
    ],
  },
  {
    what: 'a member that is none in what takes a document apart',
    files: agent(`deny contains "a" if {
  {"acton": a} := input
  a.name == "x"
}
deny contains "b" if {"action": {"nme": "x"}} = input
deny contains "c" if {
  [owner] := data.frozen.owners
  owner.nme == "x"
}
`),
    finds: [
      'no_such_input agent.rego:4:4 did you mean `action`?',
      'no_such_input agent.rego:7:34 did you mean `name`?',
      'no_such_data agent.rego:10:9 did you mean `name`?',
    ],
  },
  {
    what: 'a member that is none of a document which a rule gives another name',
    files: {
      ...agent(`import data.names

deny contains "a" if act.nme == "x"
act := input.action
deny contains "b" if whole.acton.name == "x"
whole := input
deny contains "c" if names.limits.dayy > 1
deny contains "d" if {
  some owner in names.owners
  owner.nme == "x"
}
deny contains "e" if either.dayy == 1
either := data.frozen.limits if input.action.name == "x"
else := data.frozen.nobody
`),
      'names.rego':
        'package names\n\nlimits := data.frozen.limits\n\nowners := list if list := data.frozen.owners\n',
    },
    finds: [
      'no_such_input agent.rego:5:26 did you mean `name`?',
      'no_such_input agent.rego:7:28 did you mean `action`?',
      'no_such_data agent.rego:9:35 did you mean `day`?',
      'no_such_data agent.rego:12:9 did you mean `name`?',
      'no_such_data agent.rego:16:21 ',
    ],
  },
  {
    what: 'nothing of rules that have other values too, or another input, or a default that is asked for',
    files: agent(`deny contains "a" if one.dayy == 1
one := data.frozen.limits if input.action.name == "x"
one := {"dayy": 1} if input.action.name == "y"
deny contains "b" if two.dayy == 1
default two := {}
two := data.frozen.limits if input.action.name == "x"
deny contains "c" if three.own == "x" with input as {"own": "x"}
three := input
deny contains "d" if object.get(four, "week", 1) == 1
four := data.frozen.limits
deny contains "e" if four.dayy == 1 with data.frozen.limits as {"dayy": 1}
deny contains "f" if five == "x"
five := input.action.name
deny contains "g" if six.any == "x"
six := input.context
deny contains "h" if seven.owner == "x"
seven[key] := value if some key, value in data.frozen.limits
`),
    finds: [],
  },
  {
    what: 'nothing of rows that others bring, or that have a name of their own',
    files: agent(`deny contains "a" if {
  some owner in data.frozen.owners
  owner.name == "x"
}
deny contains "b" if {
  some owner in data.frozen.nothing
  owner.nme == "x"
}
deny contains "c" if {
  some owner in data.frozen.owners with data.frozen.owners as [{"nme": "x"}]
  owner.nme == "x"
}
deny contains "d" if {
  some role in input.subject.properties.roles
  role.nme == "x"
}
deny contains "e" if {
  some owner in [{"nme": "x"}]
  owner.nme == "x"
}
deny contains "f" if {
  some owner in made
  owner.nme == "x"
}
made := [{"nme": "x"}]
deny contains "g" if {
  owned with input as {"own": "x"}
}
owned if {
  {"own": own} := input
  own == "x"
}
`),
    finds: [],
  },
  {
    what: 'a part of `input` put in place of one that cannot be there',
    files: {
      ...agent(`deny contains "no" if input.resource.id == "n-9"
deny contains "so" if late with input.context.now_ms as 1 with input.acton.name as "x"
late if input.context.now_ms < 5
`),
      'agent_test.rego': `package agent_test

test_it if not "no" in data.agent.deny with input.resouce.id as "n-9"
test_so if not "no" in data.agent.deny with input.action.properties.agrs.id as "n-9"
test_right if "no" in data.agent.deny with input.resource.id as "n-9" with input.context.any as 1
`,
    },
    finds: [
      'no_such_input agent.rego:4:70 did you mean `action`?',
      'no_such_input agent_test.rego:3:51 did you mean `resource`?',
      'no_such_input agent_test.rego:4:69 did you mean `args`?',
    ],
  },
  {
    what: 'nothing put in place of what a library or a rule with another input reads',
    files: {
      ...agent(`deny contains "no" if own with input as {"own": "x"}
own if input.own == "x"
deny contains "so" if f(input) with input as {"mine": "x"}
f(i) if i.mine == "x"
`),
      'lib.rego':
        '# portcullis: library\npackage lib\n\nbad if input.user == "x"\n\nworse if bad with input.user as "x" with input.other as 1\n',
      'agent_test.rego': `package agent_test

test_it if data.agent.own with input.own as "x"
test_lib if data.lib.bad with input.user as "x"
test_f if not data.agent.f({}) with input.mine as "x"
`,
    },
    finds: [],
  },
  {
    what: 'nothing of a table that is asked for a name it may lack, with a default',
    files: agent(`deny contains "a" if object.get(data.frozen.limits, "week", 5) > 1
deny contains "b" if object.get(data.frozen, ["limits", input.resource.id, "max"], 5) > 1
deny contains "c" if limit(data.frozen.limits) > 1
limit(limits) := object.get(limits, "week", 5)
`),
    finds: [],
  },
  {
    what: 'a rule that a package does not have, also where a test reads it',
    files: {
      ...agent('deny contains "no" if data.lib.badd\ndeny contains "so" if data.lib.bad\n'),
      'lib.rego': 'package lib\n\nbad if input.action.name == "x"\n',
      'agent_test.rego': 'package agent_test\n\ntest_it if not data.agent.denny\n',
    },
    finds: [
      'no_such_data agent.rego:3:32 did you mean `bad`?',
      'no_such_data agent_test.rego:3:27 did you mean `deny`?',
    ],
  },
  {
    what: 'a document that only a test puts in place',
    files: {
      ...agent('deny contains "no" if input.resource.id in data.listed\n'),
      'agent_test.rego':
        'package agent_test\n\ntest_it if data.agent.deny with input.resource.id as "a" with data.listed as ["a"]\n',
    },
    finds: ['no_such_data agent.rego:3:49 '],
  },
  {
    what: 'a document put in place of one that nobody reads',
    files: {
      ...agent('deny contains "no" if input.resource.id in data.frozen.notes\n'),
      'agent_test.rego':
        'package agent_test\n\ntest_it if not "no" in data.agent.deny with input as {} with data.frozn as {}\n',
    },
    finds: ['no_such_data agent_test.rego:3:67 did you mean `frozen`?'],
  },
  {
    what: 'nothing of a table that is empty, or of a document that a rule puts in place itself',
    files: agent(`deny contains "a" if data.frozen.nothing.key == 1
deny contains "b" if late with data.given as {"late": true}

late if data.given.late
`),
    finds: [],
  },
  {
    what: 'nothing of packages read through imports, aliases, whole packages and keys known later',
    files: {
      ...agent(`import data.one as first
import data.lib.two

deny contains "a" if first.bad
deny contains "b" if two.bad(input.action.name)
deny contains "c" if data.all[_].bad
deny contains message if some message in data.sets.of[_]
`),
      'one.rego': 'package one\n\nbad if inner\n\ninner if input.action.name == "x"\n',
      'two.rego': 'package lib.two\n\nbad(name) if name == "x"\n',
      'a.rego': 'package all.a\n\nbad if input.resource.id == "x"\n',
      'of.rego': 'package sets.of\n\nx contains "x"\n\ny contains "y"\n',
    },
    finds: [],
  },
  {
    what: 'a rule that a reference with a later key leaves out',
    files: {
      ...agent('deny contains "c" if data.all[_].bad\n'),
      'a.rego': 'package all.a\n\nbad if true\n\nworse if true\n',
    },
    finds: ['unknown_rule a.rego:5:1 '],
  },
  {
    what: 'nothing but documents in a library, whose input is its caller’s',
    files: {
      ...agent('import data.lib\n\ndeny contains "no" if lib.bad with input as {"user": "x"}\n'),
      'lib.rego':
        '# Shared by several teams.\n# portcullis: library\npackage lib\n\nbad if input.user == "x"\n\nunread if data.nowhere\n',
      'also.rego': 'package also\n\n# METADATA\n# entrypoint: true\nmain if input.whoever == "x"\n',
    },
    finds: ['no_such_data lib.rego:7:16 '],
  },
  {
    what: 'nothing of the input that a caller replaces, but that of callers who do not',
    files: {
      ...agent(`deny contains "a" if data.one.bad with input as {"user": "x"}
deny contains "b" if data.two.bad with input as {"user": "x"}
deny contains "c" if data.two.bad
`),
      'one.rego': 'package one\n\nbad if input.user == "x"\n',
      'two.rego': 'package two\n\nbad if input.user == "x"\n',
    },
    finds: ['no_such_input two.rego:3:14 '],
  },
]

describe('Rego that nothing reaches, and references to nothing,', () => {
  for (const { what, files, finds } of CASES) {
    it(`find ${what}`, async () => {
      const found = said(await load(files))
      expect(found.length, found.join('\n')).to.equal(finds.length)
      for (const [at, want] of finds.entries()) {
        const [code = '', place = '', ...hint] = want.split(' ')
        expect(found[at]).to.match(new RegExp(`^${code} ${place.replaceAll('.', '\\.')} `))
        expect(found[at]).to.include(hint.join(' '))
      }
    })
  }

  it('say where the name ends', async () => {
    const [found] = await load(agent('deny contains "no" if input.acton.name == "x"\n'))
    expect(found).to.deep.include({ line: 3, col: 29, end: { line: 3, col: 34 } })
  })

  it('know every member of the input that a decision has, and no other', async () => {
    const bundle = await loadBundle(sampleFiles(), OPTIONS)
    const tool = bundle.ok ? bundle.bundle.tools.get('notes.write') : undefined
    if (!tool) throw new Error('the sample does not load')
    const resource = { type: 'note', id: 'n-1' }
    const asked = request('notes.write', { id: 'n-1' }, { resource })
    const known = { request: asked, facts: facts(), tool, resource }
    const input = moduleInput({ ...known, environment: 'production', costMicros: 0n })
    const paths = pathsOf(input, [])
    const unknown = paths.filter((steps) => missingInput(steps.map(toStep), false) !== undefined)
    expect(unknown).to.deep.equal([])
    expect(missingInput(['subject', 'name'].map(toStep), false)?.known).to.deep.equal([
      'type',
      'id',
      'properties',
    ])
  })

  for (const dir of ['policies', 'examples/policy-tests']) {
    it(`let ${dir} load as it is shipped`, async () => {
      const result = await loadBundle(path.join(ROOT, dir), {
        ...OPTIONS,
        ...KINDS,
        env: { TICKETING_API_URL: 'http://127.0.0.1:9' },
        compiler: REGO_COMPILER,
      })
      expect(result.ok ? [] : result.diagnostics).to.deep.equal([])
      if (result.ok) await closeAll(result.bundle.modules)
    })
  }

  it('let the example policies load, with the list that one of them reads', async () => {
    const dir = path.join(ROOT, 'examples/rego')
    const names = fs.readdirSync(dir).filter((name) => name.endsWith('.rego'))
    const files = names.map((name) => [name, fs.readFileSync(path.join(dir, name), 'utf8')])
    const list = { 'data/do_not_contact.yaml': '[ada@example.com]\n' }
    expect(said(await load({ ...Object.fromEntries(files), ...list }))).to.deep.equal([])
  })
})

const toStep = (key: string) => ({ key, location: { file: '', row: 1, col: 1, length: 1 } })

function pathsOf(value: unknown, base: readonly string[]): string[][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[...base]]
  const members = Object.entries(value)
  return members.length === 0 ? [[...base]] : members.flatMap(([k, v]) => pathsOf(v, [...base, k]))
}
