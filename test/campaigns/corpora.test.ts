import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'
import { runRegoTests } from '../../src/rego/testing/run.ts'
import { corpus, FOREIGN } from './corpora.ts'

function write(dir: string, files: Record<string, string>): string {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.join(dir, path.dirname(name)), { recursive: true })
    fs.writeFileSync(path.join(dir, name), text)
  }
  return dir
}

const template = (limit: number) => `package template\n\nlimit := ${limit}\n`
const holds = (limit: number) => `package template\n\ntest_limit if limit == ${limit}\n`

describe('a collection of policies', () => {
  it('is one set where it is one, with its libraries and its data', async () => {
    const dir = write(scratch('corpus'), {
      'policy/a.rego': 'package a\n\nallow if data.lib.known(data.names.who)\n',
      'policy/a_test.rego': 'package a_test\n\ntest_allow if data.a.allow\n',
      'policy/names/data.json': '{"who":"ada"} {"who":"ignored"}',
      'lib/lib.rego': 'package lib\n\nknown(name) if name == "ada"\n',
    })
    const report = await corpus(path.join(dir, 'policy'), [path.join(dir, 'lib')])
    expect(report).to.deep.include({ sets: 1, modules: 3, tests: 1, refused: [], failed: [] })
  })

  it('divides what is not one set, and says what failed and what was refused', async () => {
    const dir = write(scratch('corpus'), {
      'one/src.rego': template(1),
      'one/src_test.rego': holds(1),
      'two/src.rego': template(2),
      'two/src_test.rego': holds(3),
      'old/src.rego': 'package old\n\nallow { input.x == 1 }\n',
      'bad/src.rego': 'package bad\n\nallow if undefined_function(1)\n',
    })
    const { sets, failed, refused } = await corpus(dir, [])
    expect(sets).to.equal(3)
    expect(failed.map(({ test }) => path.relative(dir, test))).to.deep.equal([
      'two/src_test.rego test_limit',
    ])
    expect(refused.map(({ folder }) => path.relative(dir, folder))).to.deep.equal(['bad'])
  })

  it('is told why a test fails that calls a function of another program', () => {
    const modules = {
      'a.rego': 'package a\n\nallow if isManaged({"__defsec_metadata": {"managed": false}})\n',
      'a_test.rego': 'package a_test\n\ntest_allow if data.a.allow\n',
    }
    const report = runRegoTests(
      { modules, data: {} },
      { wanted: () => true, coverage: false, v0: false, functions: FOREIGN },
    )
    const [failed] = report.ok ? report.results : []
    expect(failed?.stopped?.text).to.equal('data.a.allow')
    expect(failed?.expressions?.[0]?.file).to.equal('a.rego')
  })
})
