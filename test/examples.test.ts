import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '..')
const CLI = path.join(ROOT, 'bin', 'portcullis.js')

describe('the example policies in Rego', () => {
  it('are one for each kind of guard, and their tests hold and reach everything', () => {
    const kinds = fs
      .readdirSync(path.join(ROOT, 'schemas', 'guards'))
      .map((name) => name.replace('.schema.json', ''))
      .filter((name) => name !== 'common')
    for (const kind of kinds) {
      expect(fs.existsSync(path.join(ROOT, 'examples', 'rego', `${kind}.rego`)), kind).to.equal(
        true,
      )
    }
    const args = [CLI, 'test', 'examples/rego', '--coverage', '--fail-under', '100']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT })
    expect(status, stdout).to.equal(0)
    expect(stdout).to.include('0 failed')
  })

  it('have a directory with policy tests that hold', () => {
    const args = [CLI, 'test', 'examples/policy-tests']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT })
    expect([status, stdout.trim()]).to.deep.equal([0, '12 passed, 0 failed, 0 todo'])
  })
})
