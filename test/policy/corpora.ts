import fs from 'node:fs'
import path from 'node:path'

const DIRS = [
  process.env['CORPORA_DIR'],
  path.resolve(import.meta.dirname, '..', '..', '..', 'shared', 'corpora'),
]

/**
 * Public attack data, one JSON value a line, from `CORPORA_DIR` or beside the checkout; undefined
 * where it is absent. Nothing of it is part of the project.
 */
export function corpus(name: string): readonly unknown[] | undefined {
  const file = DIRS.filter((dir) => dir !== undefined)
    .map((dir) => path.join(dir, name))
    .find((one) => fs.existsSync(one))
  if (file === undefined) return undefined
  const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as unknown)
}

/** Skips a test with a clear line when the data is absent. */
export function need(test: Mocha.Context, name: string): readonly unknown[] {
  const data = corpus(name)
  if (data) return data
  console.log(`      skipped: no ${name}; set CORPORA_DIR to run it`)
  return test.skip()
}
