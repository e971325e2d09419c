import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { diffTexts, readPatch, type DiffResult } from '../../src/lib/unified-diff.ts'
import { scratch } from '../support/scratch.ts'

const LINES_MAX = 500
type Files = Readonly<Record<string, string | null>>

/** A folder with these files, under git, whose own `apply` is the judge. */
function repository(files: Files): string {
  const dir = scratch('repository')
  execFileSync('git', ['init', '-q', dir])
  for (const [name, text] of Object.entries(files)) {
    if (text === null) continue
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
    fs.writeFileSync(path.join(dir, name), text)
  }
  return dir
}

function apply(dir: string, diff: string): void {
  for (const args of [
    ['apply', '--check', '-'],
    ['apply', '-'],
  ]) {
    execFileSync('git', ['-c', 'core.autocrlf=false', ...args], { cwd: dir, input: diff })
  }
}

function read(dir: string, name: string): string | null {
  const file = path.join(dir, name)
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
}

function accepted(result: DiffResult) {
  if (!result.ok) throw new Error(result.message)
  return result.diff
}

const LONG = Array.from({ length: 60 }, (_, n) => `line ${n}\n`).join('')
const CASES: readonly (readonly [string, string, string | null, string | null])[] = [
  ['a new file', 'docs/new.md', null, 'one\ntwo\n'],
  ['a new file without a newline at its end', 'docs/new.md', null, 'one\ntwo'],
  ['a new empty file', 'docs/empty.md', null, ''],
  ['a deletion', 'docs/old.md', 'one\ntwo\n', null],
  ['a deletion without a newline', 'docs/old.md', 'one', null],
  ['a deletion of an empty file', 'docs/empty.md', '', null],
  ['a change', 'docs/a.md', 'one\ntwo\nthree\n', 'one\n2\nthree\n'],
  ['changes far apart', 'docs/a.md', LONG, LONG.replace('line 2\n', '').replace('line 50', 'L')],
  ['a newline lost', 'docs/a.md', 'one\ntwo\n', 'one\ntwo'],
  ['a newline won', 'docs/a.md', 'one\ntwo', 'one\ntwo\n'],
  ['no newline before and after', 'docs/a.md', 'one\ntwo', 'one\nzwei'],
  ['a file emptied', 'docs/a.md', 'one\n', ''],
  ['an empty file filled', 'docs/a.md', '', 'one\n'],
  ['CRLF kept', 'docs/a.md', 'one\r\ntwo\r\n', 'one\r\nzwei\r\n'],
  ['CRLF brought in', 'docs/a.md', 'one\ntwo\n', 'one\r\ntwo\n'],
  ['a lone CR', 'docs/a.md', 'one\rtwo\n', 'one\rzwei\n'],
  ['lines that look like marks', 'docs/a.md', '-- a\n++ b\n', '--- a\n+++ b\n@@ -1 +1 @@\n'],
  ['unicode in the text', 'docs/a.md', 'grün\n', 'grün 🌲\u2028more\n'],
  ['unicode in the path', 'docs/gr\u00fcn/\u6e2c\u8a66 \ud83c\udf32.md', 'a\n', 'b\n'],
  ['a new file with unicode and spaces in its path', 'docs/two  words \u00e4.md', null, 'a\n'],
  ['spaces in the path', 'docs/a b/c d.md', 'a\n', 'b\n'],
  ['an empty file with spaces in its path', 'docs/a b.md', null, ''],
  ['quotes in the path', 'docs/"quoted".md', 'a\n', 'b\n'],
  ['a path that looks like a prefix', 'a/b/a.md', 'a\n', 'b\n'],
  ['a path with ` b/` in it', 'docs/x b/y.md', null, ''],
]

describe('unified diffs', () => {
  for (const [what, name, before, after] of CASES) {
    it(`${what}: git applies it and gets exactly the other text`, () => {
      const { text, added, removed } = accepted(diffTexts(name, before, after, LINES_MAX))
      const dir = repository({ [name]: before })
      apply(dir, text)
      expect(read(dir, name)).to.equal(after)
      const marks = (mark: string) =>
        text
          .split('\n')
          .filter((line) => line.startsWith(mark) && !line.startsWith(`${mark.repeat(3)} `))
      if (what !== 'lines that look like marks') {
        expect([marks('+').length, marks('-').length]).to.deep.equal([added, removed])
      }
    })

    it(`${what}: what git itself writes is read as the same diff`, () => {
      const dir = repository({ [name]: before })
      execFileSync('git', ['add', '-A'], { cwd: dir })
      if (after === null) fs.rmSync(path.join(dir, name))
      else {
        fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
        fs.writeFileSync(path.join(dir, name), after)
      }
      if (before === null) execFileSync('git', ['add', '-AN'], { cwd: dir })
      const args = ['-c', 'core.autocrlf=false', 'diff', '--no-color', '--', name]
      const patch = execFileSync('git', args, { cwd: dir, encoding: 'utf8' })
      const { text } = accepted(readPatch(name, patch))
      const clean = repository({ [name]: before })
      apply(clean, text)
      expect(read(clean, name)).to.equal(after)
    })
  }

  it('takes several files in one diff', () => {
    const diff = CASES.filter(([what]) =>
      ['a new file', 'a deletion', 'spaces in the path'].includes(what),
    )
      .map(([, name, before, after]) => accepted(diffTexts(name, before, after, LINES_MAX)).text)
      .join('')
    const dir = repository({ 'docs/old.md': 'one\ntwo\n', 'docs/a b/c d.md': 'a\n' })
    apply(dir, diff)
    expect(read(dir, 'docs/new.md')).to.equal('one\ntwo\n')
    expect(read(dir, 'docs/old.md')).to.equal(null)
    expect(read(dir, 'docs/a b/c d.md')).to.equal('b\n')
  })

  it('gives up on texts that differ by more lines than allowed', () => {
    const [a, b] = ['a\n', 'b\n'].map((line) => line.repeat(300)) as [string, string]
    expect(diffTexts('x', a, b, 100)).to.include({ ok: false, problem: 'too_large' })
    expect(accepted(diffTexts('x', a, b, 600))).to.include({ added: 300, removed: 300 })
  })

  it('reads a patch without git\u2019s headers', () => {
    const hunk = '@@ -1,2 +1,2 @@ section\n one\n-two\n+2\n'
    for (const head of [
      '--- a/docs/a.md\n+++ b/docs/a.md\n',
      '--- docs/a.md\n+++ docs/a.md\t2026-01-01\n',
    ]) {
      const { text, kind } = accepted(readPatch('docs/a.md', head + hunk))
      expect(kind).to.equal('modify')
      const dir = repository({ 'docs/a.md': 'one\ntwo\n' })
      apply(dir, text)
      expect(read(dir, 'docs/a.md')).to.equal('one\n2\n')
    }
  })

  const HEAD = '--- a/docs/a.md\n+++ b/docs/a.md\n'
  const HUNK = '@@ -1 +1 @@\n-a\n+b\n'
  const GIT = 'diff --git a/docs/a.md b/docs/a.md\n'
  const REFUSED: readonly (readonly [string, string, RegExp])[] = [
    ['nothing', '', /exactly one file|name its file/],
    ['prose', 'please change it\n', /name its file/],
    ['a hunk without a file', HUNK, /name its file/],
    ['another file', `--- a/docs/b.md\n+++ b/docs/b.md\n${HUNK}`, /docs\/b.md/],
    ['another file on one side', `--- a/etc/passwd\n+++ b/docs/a.md\n${HUNK}`, /etc\/passwd/],
    ['another file in an Index line', `Index: secret\n${HEAD}${HUNK}`, /secret/],
    ['two files', `${HEAD}${HUNK}--- a/x\n+++ b/x\n${HUNK}`, /exactly one file/],
    ['a rename', `${GIT}rename from docs/a.md\nrename to docs/b.md\n`, /renames/],
    ['a copy', `${GIT}copy from x\ncopy to docs/a.md\n`, /renames or copies/],
    ['a binary', `${GIT}Binary files a/docs/a.md and b/docs/a.md differ\n`, /binary/],
    ['a mode change', `${GIT}old mode 100644\nnew mode 100755\n`, /mode/],
    [
      'a link',
      `${GIT}new file mode 120000\n--- /dev/null\n+++ b/docs/a.md\n@@ -0,0 +1 @@\n+/etc\n`,
      /mode/,
    ],
    ['nowhere to nowhere', `--- /dev/null\n+++ /dev/null\n${HUNK}`, /name its file/],
    ['wrong counts', `${HEAD}@@ -1,5 +1,5 @@\n-a\n+b\n`, /does not parse/],
    ['no change', `${HEAD}@@ -1 +1 @@\n a\n`, /changes nothing/],
    ['hunks out of order', `${HEAD}@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n`, /out of order/],
    ['a new file that takes', `--- /dev/null\n+++ b/docs/a.md\n${HUNK}`, /takes lines/],
    ['a deleted file that leaves', `--- a/docs/a.md\n+++ /dev/null\n${HUNK}`, /leaves lines/],
    ['a NUL', `${HEAD}@@ -1 +1 @@\n-a\n+\0\n`, /binary/],
    [
      'no newline in the middle',
      `${HEAD}@@ -1 +1,2 @@\n-a\n+b\n\\ No newline at end of file\n+c\n`,
      /newline/,
    ],
  ]
  for (const [what, patch, message] of REFUSED) {
    it(`refuses a patch with ${what}`, () => {
      const result = readPatch('docs/a.md', patch)
      expect(result.ok).to.equal(false)
      expect(result).to.have.property('message').that.matches(message)
    })
  }

  it('refuses texts that are the same, absent or binary', () => {
    for (const [before, after] of [
      ['a', 'a'],
      [null, null],
      ['a', 'a\0'],
      ['', ''],
    ] as const) {
      expect(diffTexts('x', before, after, LINES_MAX)).to.include({ ok: false, problem: 'invalid' })
    }
  })
})
