import { expect } from 'chai'
import { loadBundle } from '../../src/policy/index.ts'
import { REGO_COMPILER } from '../../src/engines/rego-compiler.ts'
import { closeAll } from '../../src/policy/load.ts'
import { OPTIONS, sampleFiles } from '../policy/sample.ts'

/** What keeps a policy with these tests from being adopted. */
async function refusals(tests: string): Promise<string[]> {
  const files = sampleFiles({
    'agent.rego': 'package agent\n\ndeny contains "no" if input.action.name == "notes.get"\n',
    'agent_test.rego': `package agent_test\n\n${tests}\n`,
  })
  const result = await loadBundle(files, { ...OPTIONS, compiler: REGO_COMPILER })
  if (!result.ok) {
    return result.diagnostics.map(({ code, line, message }) => `${code} ${line} ${message}`)
  }
  await closeAll(result.bundle.modules)
  return []
}

const CASES = (two: number): string => `test_case[name] if {
  some name, v in {"one": 1, "two": ${two}}
  v == 1
}`

describe('The tests of a policy that is to be adopted', () => {
  it('hold each by itself, where several have one name', async () => {
    expect(await refusals('test_dup if 1 == 1\n\ntest_dup if 1 == 2')).to.deep.equal([
      'policy_test_failed 5 policy test `test_dup#01` is undefined',
    ])
    expect(await refusals('test_dup if 1 == 1\n\ntest_dup if 2 == 2')).to.deep.equal([])
  })

  it('may have cases, all of which hold', async () => {
    expect(await refusals(CASES(1))).to.deep.equal([])
    expect(await refusals(CASES(2))).to.deep.equal([
      'policy_test_failed 3 policy test `test_case` does not hold for `two`',
    ])
  })

  it('may stand below a name, and be left for later', async () => {
    expect(await refusals('test_e.a if true\n\ntest_e.b if false\n\nx.test_c if 1')).to.deep.equal([
      'policy_test_failed 5 policy test `test_e.b` is undefined',
    ])
    expect(await refusals('todo_test_c if false')).to.deep.equal([])
  })

  it('say what they are instead', async () => {
    expect(await refusals('test_a := {"x": true}')).to.deep.equal([
      'policy_test_failed 3 policy test `test_a` is {"x":true}',
    ])
  })

  it('name ten cases, and how many more there are', async () => {
    const [said] = await refusals(
      'test_many[sprintf("n%d", [n])] if {\n  some n in numbers.range(1, 12)\n  n < 0\n}',
    )
    expect(said)
      .to.include('`n1`, `n2`')
      .and.match(/, and 2 more$/)
  })
})
