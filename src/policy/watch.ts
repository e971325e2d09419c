import { type FSWatcher, watch } from 'chokidar'
import fs from 'node:fs'
import path from 'node:path'

const DEBOUNCE_MS = 100
const LINK_CHECK_MS = 250

/**
 * Calls back soon after anything in a directory changed, also when the directory, or a link inside
 * it such as `..data` of a mounted ConfigMap, is swapped for another. The callback may come without
 * a change; it is for the reader to find out.
 */
export class DirectoryWatch {
  readonly #dir: string
  readonly #onChange: () => void
  #watcher: FSWatcher | undefined
  #debounce: NodeJS.Timeout | undefined
  #linkCheck: NodeJS.Timeout | undefined
  #target: string
  #stopped = false
  #endStart: () => void = () => {}

  constructor(dir: string, onChange: () => void) {
    this.#dir = dir
    this.#onChange = onChange
    this.#target = resolveLinks(dir)
  }

  /** Resolves when changes from now on are seen. */
  async start(): Promise<void> {
    await this.#watch()
    // A repointed link is no event in the old target, which is what the watcher looks at.
    this.#linkCheck = setInterval(() => this.#checkLinks(), LINK_CHECK_MS)
    this.#linkCheck.unref()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#linkCheck)
    clearTimeout(this.#debounce)
    await this.#watcher?.close()
    this.#endStart() // a watcher that is closed before it is ready never says that it is
    this.#watcher = undefined
  }

  async #watch(): Promise<void> {
    if (this.#stopped) return
    const watcher = watch(this.#dir, { ignoreInitial: true, followSymlinks: true, depth: 8 })
    this.#watcher = watcher
    watcher.on('all', (event) => {
      // Of a directory that was away for a moment the watcher sees nothing any more: it is looked at as another.
      if (event === 'unlinkDir') this.#target = ''
      this.#changed()
    })
    // Losing the watch must not end the gate: the link check and POST /policy/reload remain.
    watcher.on('error', () => this.#changed())
    await new Promise<void>((resolve) => {
      this.#endStart = resolve
      watcher.once('ready', () => resolve())
    })
  }

  #changed(): void {
    if (this.#stopped) return
    clearTimeout(this.#debounce)
    this.#debounce = setTimeout(this.#onChange, DEBOUNCE_MS)
    this.#debounce.unref()
  }

  #checkLinks(): void {
    const target = resolveLinks(this.#dir)
    if (target === this.#target) return
    this.#target = target
    const old = this.#watcher
    void this.#watch().then(() => this.#changed())
    void old?.close()
    this.#changed()
  }
}

// Where the directory and the links directly inside it lead.
function resolveLinks(dir: string): string {
  try {
    const root = fs.realpathSync(dir)
    const links = fs
      .readdirSync(root, { withFileTypes: true })
      .filter((one) => one.isSymbolicLink())
    return [root, identity(dir), ...links.map((one) => target(path.join(root, one.name)))].join(
      '\n',
    )
  } catch {
    return '' // gone for a moment, or for good; the reader reports it
  }
}

function target(link: string): string {
  try {
    return `${link} ${identity(link)} -> ${fs.realpathSync(link)}`
  } catch {
    return `${link} -> nothing`
  }
}

// A link that was repointed and back leads where it did, but is another link: somebody may have read
// the other target in between.
function identity(file: string): string {
  const stat = fs.lstatSync(file)
  return stat.isSymbolicLink() ? `${stat.ino}@${stat.mtimeMs}` : ''
}
