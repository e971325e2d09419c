import { formatPatch, parsePatch, structuredPatch, type StructuredPatchHunk } from 'diff'

// A diff that somebody else wrote is never passed on: its hunks are parsed, held against the one path it may speak of, and
// written anew under headers of our own. A header could name another file, another mode, a link or a rename, and
// whoever applies the diff would follow it.

export type ChangeKind = 'add' | 'modify' | 'delete'

/** The change of one file as a git diff, and what a judge needs to know of it. */
export interface FileDiff {
  readonly path: string
  readonly kind: ChangeKind
  readonly added: number
  readonly removed: number
  /** The text of the added lines, without their marks. */
  readonly addedText: string
  /** What `git apply` takes; ends with a newline. */
  readonly text: string
}

export type DiffResult =
  | { readonly ok: true; readonly diff: FileDiff }
  | { readonly ok: false; readonly problem: 'invalid' | 'too_large'; readonly message: string }

type Parsed = ReturnType<typeof parsePatch>[number]
/** The same, once it is known to have both names, which `formatPatch` asks for. */
type Named = Parsed & { readonly oldFileName: string; readonly newFileName: string }

/** Comparing takes time with the square of what differs: half a second of it at this bound. */
const EDIT_LENGTH_MAX = 4_000
const CONTEXT_LINES = 3
const FILE_MODE = '100644'
const NOWHERE = '/dev/null'
const NO_NEWLINE = '\\ No newline at end of file'

/** The diff from one text to another; null: the file is not there. `linesMax` bounds the work. */
export function diffTexts(
  path: string,
  before: string | null,
  after: string | null,
  linesMax: number,
): DiffResult {
  if (before === null && after === null) return invalid('there is neither `before` nor `after`')
  if (before === after) return invalid('`before` and `after` are the same')
  if (`${before ?? ''}${after ?? ''}`.includes('\0')) return invalid('the text is binary')
  if (before === null) return done(path, 'add', wholeFile('+', after ?? ''))
  if (after === null) return done(path, 'delete', wholeFile('-', before))
  const maxEditLength = Math.min(linesMax, EDIT_LENGTH_MAX)
  const options = { context: CONTEXT_LINES, maxEditLength }
  const patch = structuredPatch(path, path, before, after, '', '', options)
  if (patch) return done(path, 'modify', patch.hunks)
  return { ok: false, problem: 'too_large', message: `more than ${maxEditLength} lines differ` }
}

/**
 * The diff that a caller wrote, made anew from its hunks, so that no line of its headers is passed on.
 * It must speak of `path` alone, and may add, change or delete a plain file.
 */
export function readPatch(path: string, text: string): DiffResult {
  if (text.includes('\0')) return invalid('the patch is binary')
  let patches: Parsed[]
  try {
    patches = parsePatch(text)
  } catch {
    return invalid('the patch does not parse')
  }
  const [patch] = patches
  if (!patch || patches.length > 1) return invalid('the patch must speak of exactly one file')
  const problem = unsupported(patch) ?? inconsistent(patch, path)
  if (problem !== undefined) return invalid(problem)
  const kind = kindOf(patch)
  return badHunks(patch.hunks, kind) ?? done(path, kind, patch.hunks)
}

const invalid = (message: string): DiffResult => ({ ok: false, problem: 'invalid', message })

function done(path: string, kind: ChangeKind, hunks: readonly StructuredPatchHunk[]): DiffResult {
  const lines = hunks.flatMap((hunk) => hunk.lines)
  const added = lines.filter((line) => line.startsWith('+'))
  return {
    ok: true,
    diff: {
      path,
      kind,
      added: added.length,
      removed: lines.filter((line) => line.startsWith('-')).length,
      addedText: added.map((line) => line.slice(1)).join('\n'),
      text: formatPatch(gitPatch(path, kind, [...hunks])),
    },
  }
}

function gitPatch(path: string, kind: ChangeKind, hunks: StructuredPatchHunk[]): Named {
  return {
    isGit: true,
    oldFileName: kind === 'add' ? NOWHERE : `a/${path}`,
    newFileName: kind === 'delete' ? NOWHERE : `b/${path}`,
    oldHeader: '',
    newHeader: '',
    hunks,
    ...(kind === 'add' ? { isCreate: true, newMode: FILE_MODE } : {}),
    ...(kind === 'delete' ? { isDelete: true, oldMode: FILE_MODE } : {}),
  }
}

/** One hunk with every line of a text; none for an empty file, of which git writes the header alone. */
function wholeFile(mark: '+' | '-', text: string): StructuredPatchHunk[] {
  if (text === '') return []
  const isEnded = text.endsWith('\n')
  const lines = (isEnded ? text.slice(0, -1) : text).split('\n').map((line) => `${mark}${line}`)
  const [oldLines, newLines] = mark === '+' ? [0, lines.length] : [lines.length, 0]
  return [
    {
      oldStart: 1,
      newStart: 1,
      oldLines,
      newLines,
      lines: isEnded ? lines : [...lines, NO_NEWLINE],
    },
  ]
}

function unsupported(patch: Parsed): string | undefined {
  if (patch.isBinary) return 'the patch is binary'
  if (patch.isRename || patch.isCopy) return 'the patch renames or copies; delete and add instead'
  const modes = [patch.oldMode, patch.newMode].filter((mode) => mode !== undefined)
  // Mode 120000 would be a link that leads anywhere.
  if (modes.some((mode) => mode !== FILE_MODE)) return `only files of mode ${FILE_MODE} can change`
  return undefined
}

function inconsistent(patch: Parsed, path: string): string | undefined {
  const { oldFileName: from, newFileName: to, index } = patch
  if (from === undefined || to === undefined) return 'the patch does not name its file'
  const names = [
    from === NOWHERE ? null : bare(from, 'a/', path),
    to === NOWHERE ? null : bare(to, 'b/', path),
  ]
  if (index !== undefined) names.push(index)
  const stated = names.filter((name) => name !== null)
  if (stated.length === 0) return 'the patch does not name its file'
  const other = stated.find((name) => name !== path)
  return other === undefined ? undefined : `the patch speaks of \`${other.slice(0, 200)}\` instead`
}

const bare = (name: string, prefix: string, path: string): string =>
  name !== path && name.startsWith(prefix) ? name.slice(prefix.length) : name

function kindOf(patch: Parsed): ChangeKind {
  if (patch.oldFileName === NOWHERE || patch.isCreate) return 'add'
  return patch.newFileName === NOWHERE || patch.isDelete ? 'delete' : 'modify'
}

function badHunks(hunks: readonly StructuredPatchHunk[], kind: ChangeKind): DiffResult | undefined {
  if (kind === 'add' && (hunks.length > 1 || hunks.some(({ oldLines }) => oldLines > 0))) {
    return invalid('the patch adds a file and takes lines from it')
  }
  if (kind === 'delete' && (hunks.length > 1 || hunks.some(({ newLines }) => newLines > 0))) {
    return invalid('the patch deletes a file and leaves lines in it')
  }
  if (kind === 'modify' && !hunks.some(({ lines }) => lines.some((line) => /^[+-]/.test(line)))) {
    return invalid('the patch changes nothing')
  }
  for (const [index, hunk] of hunks.entries()) {
    const before = hunks[index - 1]
    if (before && hunk.oldStart < before.oldStart + before.oldLines) {
      return invalid('the hunks of the patch overlap or are out of order')
    }
    if (!endsWell(hunk.lines, index === hunks.length - 1)) {
      return invalid('the patch has a line without a newline that is not the last')
    }
  }
  return undefined
}

// A marker belongs to the line before it, which then must be the last of its side in the file.
function endsWell(lines: readonly string[], isLastHunk: boolean): boolean {
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('\\')) continue
    const mark = lines[index - 1]?.[0] ?? '\\'
    if (!isLastHunk || mark === '\\') return false
    const later = lines.slice(index + 1).filter((one) => !one.startsWith('\\'))
    if (later.some((one) => mark === ' ' || one[0] === ' ' || one[0] === mark)) return false
  }
  return true
}
