import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'

const CLI = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

function folder(files: Record<string, string>): string {
  const dir = scratch('folder')
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
    fs.writeFileSync(path.join(dir, name), text)
  }
  return dir
}

const run = (dir: string, ...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', cwd: dir })

const OLD = 'package a\n\nimport future.keywords.in\n\n# why\np[x] { x := input.a; x in [1, 2] }\n'

describe('A folder of Rego', () => {
  it('is loaded as `opa test` does: JSON and YAML by the folders they stand in, other files left out', () => {
    const dir = folder({
      'a_test.rego': `package a_test

test_root if data.limits.day == 5
test_below if data.teams.blue.lead == "ann"
test_list if data.teams.rows == [1, 2]
test_yaml if data.teams.blue.size == 3
test_anchors if data.both[1].x == 1
test_nothing if data.teams.none == null
test_switch if data.workflow["true"].push == false
test_octal if data.workflow.mode == 420
test_merged if data.workflow.job == {"os": "linux", "steps": 1}
`,
      'limits.json': '{"limits": {"day": 5}}',
      'anchors.yaml': 'both: [&a { x: 1 }, *a]\n---\nboth: 2\n',
      'teams/blue/data.json': '{"lead": "ann"}',
      'teams/blue/more.yml': 'size: 3\n',
      'teams/none/data.yaml': '# nobody\n',
      'workflow/ci.yml':
        'on: { push: no }\nmode: 0644\nx: &x { os: linux, steps: 0 }\njob: { <<: *x, steps: 1 }\n',
      'teams/rows/list.json': '[1, 2]',
      'package-lock.txt': 'not { json',
      'list.json': '[1, 2, 3]',
      'README.md': '# what',
    })
    const { status, stdout, stderr } = run(dir, 'test', '.')
    expect([status, stdout.trim()], stderr).to.deep.equal([0, '9 passed, 0 failed, 0 todo'])
    expect(stderr).to.match(/list\.json: left out/)
  })

  it('is refused where two files say two things', () => {
    const dir = folder({ 'a.rego': 'package a\n', 'a.json': '{"x": 1}', 'b.yaml': 'x: 2\n' })
    const { status, stderr } = run(dir, 'test', '.')
    expect([status, stderr.trim()]).to.deep.equal([
      2,
      'b.yaml: its data stands where that of another file does',
    ])
  })

  it('is checked and formatted whatever else is in it', () => {
    const dir = folder({ 'a.rego': 'package a\n\np   if input.x\n', 'x.json': '[', 'y.yaml': '{' })
    expect(run(dir, 'rego', 'check', '.').status).to.equal(0)
    expect(run(dir, 'rego', 'fmt', '.').stdout.trim()).to.equal('a.rego')
    expect(fs.readFileSync(path.join(dir, 'a.rego'), 'utf8')).to.equal(
      'package a\n\np if input.x\n',
    )
  })

  it('without tests says how to write one, and fails when one is required', () => {
    const dir = folder({ 'a.rego': 'package a\n\np if true\n' })
    const mild = run(dir, 'test', '.')
    expect([mild.status, mild.stdout.trim()]).to.deep.equal([0, '0 passed, 0 failed, 0 todo'])
    expect(mild.stderr).to.match(/write `test_name if \{ \.\.\. \}` in a file `\*_test\.rego`/)
    expect(run(dir, 'test', '.', '--require').status).to.equal(4)
    fs.writeFileSync(path.join(dir, 'a_test.rego'), 'package a_test\n\ntest_p if data.a.p\n')
    expect(run(dir, 'test', '.', '--require').status).to.equal(0)
    const none = run(dir, 'test', '.', '--require', '--run', 'nothing')
    expect([none.status, none.stderr.trim()]).to.deep.equal([4, 'no test matches `nothing`'])
  })

  it('has each definition of a test run by itself, and each case of one', () => {
    const dir = folder({
      'p_test.rego': [
        'package p_test',
        '',
        'test_dup if 1 == 1',
        '',
        'test_dup if 1 == 2',
        '',
        'test_cases[name] if {',
        '\tsome name, v in {"one": 1, "two": 1}',
        '\tv == 1',
        '}',
        '',
        'test_deep[name][sub] := ok if {',
        '\tsome name, ok in {"a": true, "b": false}',
        '\tsub := "x"',
        '}',
        '',
        'test_fails[name] if {',
        '\tsome name, v in {"one": 1, "two": 2}',
        '\tv == 1',
        '}',
      ].join('\n'),
    })
    const { status, stdout } = run(dir, 'test', '.')
    expect(status).to.equal(4)
    expect(stdout).to.include('2 passed, 3 failed').and.include('not b/x').and.include('not two')
    expect(stdout).to.include('FAIL p_test/test_dup#01  p_test.rego:5')
  })

  it('in the old dialect is told how to be read, and is rewritten', () => {
    const dir = folder({ 'a.rego': OLD, 'new.rego': 'package b\n\np if true\n' })
    for (const command of ['fmt', 'check']) {
      const { status, stderr } = run(dir, 'rego', command, '.')
      expect(status).to.equal(3)
      expect(stderr).to.include('--v0').and.to.include('portcullis rego migrate')
    }
    expect(run(dir, 'rego', 'migrate', '.', '--list').stdout.trim()).to.equal('a.rego')
    expect(fs.readFileSync(path.join(dir, 'a.rego'), 'utf8')).to.equal(OLD)
    const { status, stdout, stderr } = run(dir, 'rego', 'migrate', '.')
    expect([status, stdout.trim(), stderr]).to.deep.equal([0, 'a.rego', ''])
    expect(fs.readFileSync(path.join(dir, 'a.rego'), 'utf8')).to.equal(
      'package a\n\n\n# why\np contains x if { x := input.a; x in [1, 2] }\n',
    )
    expect(run(dir, 'rego', 'check', '.').status).to.equal(0)
  })

  it('is told what is left to be done by hand', () => {
    const dir = folder({ 'a.rego': 'package a\n\np { any([input.a]) }\n' })
    const { status, stdout, stderr } = run(dir, 'rego', 'migrate', '.')
    expect([status, stdout.trim()]).to.deep.equal([3, 'a.rego'])
    expect(stderr).to.include('any')
  })

  it('never steers the terminal with what is in it', () => {
    const escape = '\u001b]0;owned\u0007\u009b2J\u202e'
    const dir = folder({
      'a.rego': `package a\n\np if nothing_there # ${escape}\n`,
      'b_test.rego': `package b\n\ntest_x if "${escape}" == input.x\n`,
    })
    const outputs = [run(dir, 'rego', 'check', 'a.rego'), run(dir, 'test', 'b_test.rego')]
    for (const { stdout, stderr } of outputs) {
      expect(stdout + stderr).to.match(/\\u\{1b\}|cannot|illegal/)
      // oxlint-disable-next-line no-control-regex -- these are what must not be there
      expect(stdout + stderr).to.not.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/)
    }
  })
})
