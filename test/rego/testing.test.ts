import { expect } from 'chai'
import { runRegoTests } from '../../src/rego/testing/run.ts'

/** What came of each test, by name: `passed`, or what it gave instead. */
function ran(text: string, { v0 = false, coverage = false } = {}): Record<string, string> {
  const modules = { 'a_test.rego': text, 'p.rego': 'package p\n\nlimit := 5\n' }
  const report = runRegoTests({ modules, data: {} }, { wanted: () => true, coverage, v0 })
  if (!report.ok) throw new Error(report.diagnostics.map(({ message }) => message).join('; '))
  return Object.fromEntries(
    report.results.map(({ name, outcome, got }) => [name, got ?? outcome] as const),
  )
}

const test = (body: string) => `package a_test\n\n${body}\n`

// https://www.openpolicyagent.org/docs/policy-testing, "Parameterized Tests".
const DOCS = `test_concat[note] if {
  some note, tc in {
    "empty + empty": {"a": [], "b": [], "exp": []},
    "empty + filled": {"a": [], "b": [1, 2], "exp": [1, 2]},
    "filled + filled": {"a": [1, 2], "b": [3, 4], "exp": [1, 2, 3]},
  }

  act := array.concat(tc.a, tc.b)
  act == tc.exp
}`

interface Case {
  readonly what: string
  readonly tests: string
  readonly gives: Readonly<Record<string, string>>
}

const CASES: readonly Case[] = [
  { what: 'a case that does not hold', tests: DOCS, gives: { test_concat: 'not filled + filled' } },
  {
    what: 'cases whose name is a part of them, found after what may fail was written',
    tests: `test_x[tc.note] if {
  some tc in [{"note": "a", "v": 1}, {"note": "b", "v": 2}, {"note": "c", "v": 1}]
  tc.v == 1
}`,
    gives: { test_x: 'not b' },
  },
  {
    what: 'cases whose name is worked out, by a comprehension too',
    tests: `test_call[sprintf("n%d", [n])] if {
  some n in [1, 2, 3]
  n != 2
}
test_comprehension[concat("-", [s | some s in parts])] if {
  some parts in [["a", "b"], ["c", "d"]]
  parts[0] == "a"
}`,
    gives: { test_call: 'not n2', test_comprehension: 'not c-d' },
  },
  {
    what: 'cases of several keys, and with a key that is no text',
    tests: `test_deep[name][sub] if {
  some name, subs in {"a": {"x": 1}, "b": {"x": 1, "y": 2}}
  some sub, v in subs
  v == 1
}
test_number[n] if {
  some n in [1, 2]
  n == 1
}`,
    gives: { test_deep: 'not b/y', test_number: 'not 2' },
  },
  {
    what: 'a case that reads what is undefined, or an input that is not there',
    tests: `test_undefined[note] if {
  some note, tc in {"a": {"v": 1}, "b": {}}
  tc.v == 1
}
test_input[note] if {
  some note in ["a"]
  input.nothing == note
}`,
    gives: { test_undefined: 'not b', test_input: 'not a' },
  },
  {
    what: 'no case where one of several tries holds, and none that never began',
    tests: `test_any[name] if {
  some name, values in {"a": [1, 2], "b": [2]}
  some v in values
  v == 2
}
test_none[name] if {
  some name in []
}`,
    gives: { test_any: 'passed', test_none: 'passed' },
  },
  {
    what: 'a case of one value that is not true',
    tests: `test_values[name] := ok if {
  some name, ok in {"a": true, "b": false}
}`,
    gives: { test_values: 'not b' },
  },
  {
    what: 'no case of another test that one reads',
    tests: `test_other[name] if {
  some name in ["a", "b"]
  name == "a"
}
test_reads[name] if {
  some name in ["c"]
  test_other.a
}`,
    gives: { test_other: 'not b', test_reads: 'passed' },
  },
  {
    what: 'each definition by itself, of cases too',
    tests: `test_dup if 1 == 1
test_dup if 1 == 2
test_cases[n] if {
  some n in ["a"]
}
test_cases[n] if {
  some n in ["a"]
  n == "b"
}`,
    gives: {
      test_dup: 'passed',
      'test_dup#01': 'undefined',
      test_cases: 'passed',
      'test_cases#01': 'not a',
    },
  },
  {
    what: 'tests below a name, and those whose name stands behind another',
    tests: `test_e.a if true
test_e.b if false
cases.test_inner if false
cases.todo_test_later if false
cases.other if false
cases.test_rows[n] if {
  some n in ["a", "b"]
  n == "a"
}`,
    gives: {
      'test_e.a': 'passed',
      'test_e.b': 'undefined',
      'cases.test_inner': 'undefined',
      'cases.todo_test_later': 'todo',
      'cases.test_rows': 'not b',
    },
  },
  {
    what: 'an object that is no object of cases',
    tests: 'test_object := {"a": true}\ntest_set contains "a"',
    gives: { test_object: '{"a":true}', test_set: '["a"]' },
  },
  {
    what: 'an error in a case',
    tests: `test_conflict[name] := value if {
  name := "a"
  some value in [true, false]
}`,
    gives: { test_conflict: 'eval_conflict_error: object keys must be unique' },
  },
]

describe('Rego tests', () => {
  for (const { what, tests, gives } of CASES) {
    it(`see ${what}`, () => {
      expect(ran(test(tests))).to.deep.equal(gives)
      expect(ran(test(tests), { coverage: true }), 'with coverage').to.deep.equal(gives)
    })
  }

  it('see each body of a rule in the old dialect', () => {
    const old = test('test_a { 1 == 1 } { 1 == 2 }\ntest_b[n] = true { n := ["a"][_]; n == "b" }')
    expect(ran(old, { v0: true })).to.deep.equal({
      test_a: 'passed',
      'test_a#01': 'undefined',
      test_b: 'not a',
    })
  })
})
