import { expect } from 'chai'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'

const SCRIPT = path.resolve(import.meta.dirname, '..', '..', 'ops', 'snapshot.mjs')

const git = (dir: string, ...args: string[]) =>
  execFileSync('git', args, { cwd: dir, encoding: 'utf8' }).trim()

function run(dir: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT], {
    cwd: dir,
    encoding: 'utf8',
    // No identity of whoever runs the tests, and no repository above the folder.
    env: {
      PATH: process.env['PATH'],
      HOME: dir,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CEILING_DIRECTORIES: os.tmpdir(),
    },
  })
  return { status, tag: stdout.trim(), stderr }
}

function repository(): string {
  const dir = scratch('snapshot')
  git(dir, 'init', '-q')
  return dir
}

const write = (dir: string, name: string, text: string) => {
  fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
  fs.writeFileSync(path.join(dir, name), text)
}

describe('ops/snapshot', () => {
  it('keeps what is committed, changed, staged, new and deleted, and touches none of it', () => {
    const dir = repository()
    write(dir, '.gitignore', '.env\n')
    for (const name of ['kept', 'changed', 'staged', 'deleted']) write(dir, name, 'one\n')
    git(dir, 'add', '-A')
    git(dir, '-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '-qm', 'first')
    write(dir, 'changed', 'two\n')
    write(dir, 'staged', 'two\n')
    git(dir, 'add', 'staged')
    write(dir, 'deep/new file', 'new\n')
    write(dir, '.env', 'SECRET=1\n')
    fs.rmSync(path.join(dir, 'deleted'))
    const before = [git(dir, 'status', '--porcelain'), git(dir, 'rev-parse', 'HEAD')]
    const { status, tag } = run(dir)
    expect([status, /^snapshot-\d{8}T\d{6}Z$/.test(tag)]).to.deep.equal([0, true])
    expect([git(dir, 'status', '--porcelain'), git(dir, 'rev-parse', 'HEAD')]).to.deep.equal(before)
    const names = git(dir, 'ls-tree', '-r', '--name-only', tag).split('\n')
    expect(names).to.deep.equal(['.gitignore', 'changed', 'deep/new file', 'kept', 'staged'])
    expect(git(dir, 'show', `${tag}:changed`)).to.equal('two')
    expect(git(dir, 'rev-parse', `${tag}^`)).to.equal(before[1])
  })

  it('works from a folder below, before the first commit, and twice in a second', () => {
    const dir = repository()
    write(dir, 'below/file', 'x\n')
    const tags = [run(path.join(dir, 'below')), run(dir), run(dir)].map(({ tag }) => tag)
    expect(new Set(tags).size).to.equal(3)
    expect(git(dir, 'ls-tree', '-r', '--name-only', tags[0] ?? '')).to.equal('below/file')
  })

  it('refuses outside of git', () => {
    const { status, stderr } = run(scratch('no-repository'))
    expect([status, stderr.includes('not the working tree')]).to.deep.equal([1, true])
  })
})
