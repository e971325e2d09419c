import { fork, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { CliError, EXIT } from './exit.ts'
import { ROOT } from './root.ts'

const START_TIMEOUT_MS = 10_000

/** The demo business system in its own process. `port` 0 lets the system choose one. */
export class DemoService {
  readonly #process: ChildProcess
  readonly port: number

  private constructor(child: ChildProcess, port: number) {
    this.#process = child
    this.port = port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** @throws CliError when it does not come up, naming the port */
  static async start(options: { port: number; ledgerFile?: string }): Promise<DemoService> {
    const args = ['--port', String(options.port)]
    if (options.ledgerFile) args.push('--data', options.ledgerFile)
    // Its own group would outlive Ctrl-C; as a child it gets the signal and ends with the gate.
    const child = fork(path.join(ROOT, 'ops', 'demo', 'server.mjs'), args, { silent: true })
    const output: string[] = []
    child.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()))
    return new Promise((resolve, reject) => {
      const fail = () => {
        const why = output.join('').trim() || 'it does not answer'
        const hint = 'set TICKETING_API_URL to another address, or DEMO=off'
        reject(
          new CliError(EXIT.internal, `the demo business system did not start: ${why}; ${hint}`),
        )
      }
      const timer = setTimeout(fail, START_TIMEOUT_MS)
      child.once('exit', () => {
        clearTimeout(timer)
        fail()
      })
      child.once('message', ({ port }: { port: number }) => {
        clearTimeout(timer)
        resolve(new DemoService(child, port))
      })
    })
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exit = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGTERM')
    await exit
  }
}
