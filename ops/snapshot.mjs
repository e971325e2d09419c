// Keeps the state of a working tree as a git tag, `snapshot-<UTC time>`: what is committed, what is changed and
// what is new, but not what git ignores (`.env` stays out). Neither files nor index nor branch are touched.
//
//   npm run snapshot            this repository
//   node ops/snapshot.mjs DIR   another one
//
// Back to it: `git checkout <tag> -- .` or `git switch --detach <tag>`.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'

const dir = path.resolve(process.argv[2] ?? '.')
const NAME = 'Portcullis snapshot'

function git(args, env = {}) {
  const options = { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  return execFileSync('git', args, { ...options, env: { ...process.env, ...env } }).trim()
}

/** What a command says, or null when it fails. */
function asked(args) {
  try {
    return git(args)
  } catch {
    return null
  }
}

function freeTag(now) {
  const base = `snapshot-${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}`
  for (let n = 1; ; n++) {
    const tag = n === 1 ? base : `${base}-${n}`
    if (asked(['rev-parse', '--verify', '--quiet', `refs/tags/${tag}`]) === null) return tag
  }
}

// An index of its own, so that what somebody has staged stays as it is.
function treeOf(root, head) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'snapshot-'))
  const env = { GIT_INDEX_FILE: path.join(scratch, 'index') }
  try {
    git(['-C', root, 'read-tree', head === null ? '--empty' : head], env)
    git(['-C', root, 'add', '--all'], env)
    return git(['-C', root, 'write-tree'], env)
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

function snapshot() {
  const root = asked(['rev-parse', '--show-toplevel'])
  if (!root) throw new Error(`${dir} is not the working tree of a git repository`)
  const head = asked(['rev-parse', '--verify', '--quiet', 'HEAD'])
  const tag = freeTag(new Date())
  const parents = head === null ? [] : ['-p', head]
  const who = asked(['config', 'user.email']) ? {} : identity()
  const commit = git(['commit-tree', treeOf(root, head), ...parents, '-m', tag], who)
  git(['tag', tag, commit])
  return tag
}

function identity() {
  const [name, email] = [NAME, 'snapshot@localhost']
  return {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
  }
}

try {
  console.log(snapshot())
} catch (error) {
  console.error(`no snapshot: ${error.stderr?.trim() || error.message}`)
  process.exitCode = 1
}
