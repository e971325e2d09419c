import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'

// One run of a program. It leads a group of its own, so that what it starts ends with it, and so that a Ctrl-C for the gate
// is not one for it while calls are finished. It is asked to end by closing its standard input, which is also what it finds
// when the gate is killed outright; who does not listen is told by signals.

const PATIENCE_MS = 2_000

/** Groups that run, ended with the process however it ends. */
const groups = new Set<number>()
process.on('exit', () => {
  for (const pid of groups) signal(pid, 'SIGKILL')
})

export interface ChildParts {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string | null
  readonly onOut: (chunk: Buffer) => void
  readonly onErr: (chunk: Buffer) => void
  /** It is over, and everything it wrote was read. */
  readonly onEnd: (how: string) => void
}

export class Child {
  readonly startedAt = new Date()
  readonly ended: Promise<void>
  readonly #process: ChildProcessWithoutNullStreams
  #hasEnded = false

  constructor({ command, env, cwd, onOut, onErr, onEnd }: ChildParts) {
    const [program = '', ...args] = command
    const child = spawn(program, args, {
      env: { ...env },
      ...(cwd === null ? {} : { cwd }),
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#process = child
    const { pid } = child
    if (pid !== undefined) groups.add(pid)
    let failure: string | undefined
    child.on('error', (error: NodeJS.ErrnoException) => {
      failure ??= `it does not start: ${error.code ?? 'unknown'}`
    })
    // Whoever is gone reads nothing; that it is gone is told by its end.
    child.stdin.on('error', () => {})
    child.stdout.on('data', onOut)
    child.stderr.on('data', onErr)
    child.once('exit', () => {
      if (pid !== undefined) signal(pid, 'SIGKILL') // what it started holds its output open
      setTimeout(() => this.#letGo(), PATIENCE_MS).unref() // or has left the group with it
    })
    this.ended = new Promise((resolve) => {
      child.once('close', (code, how) => {
        if (pid !== undefined) groups.delete(pid)
        this.#hasEnded = true
        onEnd(failure ?? `it ended with ${how ?? `code ${code}`}`)
        resolve()
      })
    })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get isWritable(): boolean {
    return this.#process.exitCode === null && this.#process.stdin.writable
  }

  /** What waits for it to be read. */
  get unreadBytes(): number {
    return this.#process.stdin.writableLength
  }

  write(line: string): void {
    this.#process.stdin.write(`${line}\n`)
  }

  /** Ends it, as gently as it lets one. */
  async stop(): Promise<void> {
    this.#process.stdin.end()
    for (const how of ['SIGTERM', 'SIGKILL'] as const) {
      if (await this.#isOverSoon()) return
      signal(this.pid, how)
    }
    if (!(await this.#isOverSoon())) this.#letGo()
  }

  /** Whoever else holds the other ends: nothing more is read, so that it is over. */
  #letGo(): void {
    this.#process.stdout.destroy()
    this.#process.stderr.destroy()
  }

  async #isOverSoon(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS)
    })
    await Promise.race([this.ended, late])
    clearTimeout(timer)
    return this.#hasEnded
  }
}

function signal(pid: number, how: NodeJS.Signals): void {
  if (pid <= 0) return
  try {
    process.kill(-pid, how)
  } catch {
    // It has gone by itself.
  }
}
