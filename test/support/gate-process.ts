import { spawn, type ChildProcess } from 'node:child_process'
import net from 'node:net'
import path from 'node:path'
import { ADMIN, MAKER } from './gate.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const START_TIMEOUT_MS = 180_000

/** A free port, for processes that must come back on the same one. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** The gate as users run it: `portcullis start`, built, in a process that can be killed. */
export class GateProcess {
  readonly url: string
  readonly #env: Record<string, string>
  readonly #cwd: string
  #child: ChildProcess | undefined
  #output = ''

  /** `cwd`: where relative settings such as `policies` point. */
  constructor(port: number, env: Record<string, string>, cwd = ROOT) {
    this.#cwd = cwd
    this.url = `http://127.0.0.1:${port}`
    this.#env = {
      PORT: String(port),
      DEMO: 'off',
      API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER}`,
      LOG_LEVEL: 'warn',
      ...env,
    }
  }

  get output(): string {
    return this.#output
  }

  async start(): Promise<void> {
    this.#output = ''
    const child = spawn(process.execPath, [path.join(ROOT, 'bin', 'portcullis.js'), 'start'], {
      cwd: this.#cwd,
      env: { PATH: process.env['PATH'], ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const collect = (chunk: Buffer) => {
      this.#output += chunk.toString()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    await this.#ready(child)
  }

  async #ready(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (Date.now() < deadline && child.exitCode === null) {
      const ok = await fetch(`${this.url}/readyz`).then(
        (response) => response.ok,
        () => false,
      )
      if (ok) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`the gate did not start:\n${this.#output}`)
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#child
    if (!child || child.exitCode !== null) return child?.exitCode ?? null
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill(signal)
    return exit
  }
}
