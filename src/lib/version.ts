import fs from 'node:fs'
import path from 'node:path'

/** The version of the package, as `package.json` says it. */
export function readVersion(): string {
  const file = path.join(import.meta.dirname, '..', '..', 'package.json')
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version
}
