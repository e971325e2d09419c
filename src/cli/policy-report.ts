import fs from 'node:fs'
import path from 'node:path'
import type { Diagnostic } from '../sources/diagnostics.ts'
import type { SourceTexts } from '../policy/index.ts'
import { printDiagnostics } from '../sources/print.ts'
import { CliError, EXIT } from './exit.ts'

/** Diagnostics with the lines they mean, as an error that ends a subcommand with code 3. */
export function policyFailure(
  dir: string,
  diagnostics: readonly Diagnostic[],
  texts?: SourceTexts,
): CliError {
  return new CliError(EXIT.policy, policyText(dir, diagnostics, texts))
}

/** Diagnostics with the lines they mean, from what was read where that is known. */
export function policyText(
  dir: string,
  diagnostics: readonly Diagnostic[],
  texts?: SourceTexts,
): string {
  const files = [...new Set(diagnostics.map(({ file }) => file))]
  const sources = new Map(files.map((file) => [file, texts?.get(file) ?? read(dir, file)]))
  return printDiagnostics(diagnostics, sources)
}

function read(dir: string, file: string): string {
  try {
    const name = fs.realpathSync(path.join(dir, file))
    if (!name.startsWith(fs.realpathSync(dir) + path.sep)) return '' // a link out of it, which is not ours to show
    return fs.statSync(name).isFile() ? fs.readFileSync(name, 'utf8') : ''
  } catch {
    return '' // the directory itself, or a file that is the problem
  }
}
