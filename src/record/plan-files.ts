import fs from 'node:fs'
import path from 'node:path'
import { ensureDirectory } from '../lib/directories.ts'
import { isId } from '../lib/ids.ts'

/**
 * The artifacts in PLANS_DIR, one JSON file for each accepted plan, named by its id and nothing a caller
 * said. A file is there whole or not at all.
 */
export class PlanFiles {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  has(id: string): boolean {
    return fs.existsSync(this.#file(id))
  }

  /** Writes the artifact, unless it is there. Answers the file's name. */
  async write(id: string, artifact: string): Promise<string> {
    const file = this.#file(id)
    if (this.has(id)) return path.basename(file)
    ensureDirectory(this.#dir)
    const making = `${file}.${process.pid}.tmp`
    const handle = await fs.promises.open(making, 'w', 0o644)
    try {
      await handle.writeFile(artifact)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fs.promises.rename(making, file)
    await syncDir(this.#dir)
    return path.basename(file)
  }

  #file(id: string): string {
    if (!isId('pln', id)) throw new Error(`\`${id}\` is no plan id`)
    return path.join(this.#dir, `${id}.json`)
  }
}

// The name of a new file is durable only when its directory is.
async function syncDir(dir: string): Promise<void> {
  const handle = await fs.promises.open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
