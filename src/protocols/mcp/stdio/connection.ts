import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { childEnv } from '../../../bundle/child-env.ts'
import type { ChildProgram, Upstream } from '../../../model/tool.ts'
import type { CredentialMask } from '../../http/credential-mask.ts'
import { type Asked, type Connection, PeerError, type Running } from '../connection.ts'
import { INITIALIZED, initializeParams, versionOf } from '../handshake.ts'
import type { Sent } from '../sending.ts'
import { Child } from './child.ts'
import { Conversation } from './conversation.ts'
import { Lines } from './lines.ts'
import { Restarts } from './restarts.ts'
import { StderrLog } from './stderr.ts'

// A server that is a child of the gate: one process for all agents, started when it is asked for the first time and again
// when it has ended by itself. It is started without a shell, and only where whoever runs the gate has named the program: a
// policy that somebody publishes must not run what it likes on the gate's machine.

/** A program may have to be fetched first. */
const START_MS = 30_000

/** What whoever runs the gate lets a policy have started. */
export interface AllowedPrograms {
  /** How command lines begin, word by word. */
  readonly commands: readonly (readonly string[])[]
  /** Where they may run, other than where the gate does: absolute paths. */
  readonly folders: readonly string[]
}

export interface StdioParts {
  readonly programs: AllowedPrograms
  readonly env: Readonly<Record<string, string>>
  readonly mask: (upstream: Upstream) => CredentialMask
  readonly onEcho: (upstream: string) => void
  /** What it says on standard error, and what becomes of it. */
  readonly log: (server: string, pid: number, text: string) => void
  /** Told that it ended too often to be started again soon. */
  readonly onDown: (server: string, how: string) => void
}

interface Run {
  readonly child: Child
  readonly conversation: Conversation
}

export class StdioConnection implements Connection {
  readonly #parts: StdioParts
  readonly #upstream: Upstream & { readonly program: ChildProgram }
  readonly #onListChanged: () => void
  readonly #restarts = new Restarts()
  #run: Run | undefined
  #ready: Promise<Run> | undefined
  #lastEnd = ''
  #isStopped = false
  #hasSpoken = false

  constructor(
    parts: StdioParts,
    upstream: Upstream & { readonly program: ChildProgram },
    onListChanged: () => void,
  ) {
    this.#parts = parts
    this.#upstream = upstream
    this.#onListChanged = onListChanged
  }

  // No program of these speaks the modern protocol, in which nothing is agreed on first.
  get era(): Connection['era'] {
    return this.#hasSpoken ? 'legacy' : null
  }

  get running(): Running | null {
    return this.#run?.child ?? null
  }

  async ask(holder: string, asked: Asked): Promise<Sent> {
    const { conversation } = await this.#started()
    return conversation.ask(holder, asked)
  }

  /** What is under way may end first, as long as it would be waited for. */
  async stop(patienceMs = this.#upstream.timeoutMs): Promise<void> {
    this.#isStopped = true
    const run = this.#run
    if (!run) return
    let late: NodeJS.Timeout | undefined
    const patience = new Promise((resolve) => {
      late = setTimeout(resolve, patienceMs)
    })
    await Promise.race([run.conversation.quiet(), patience])
    clearTimeout(late)
    await run.child.stop()
  }

  #started(): Promise<Run> {
    if (this.#ready) return this.#ready
    const ready = this.#start().catch((error: unknown) => {
      if (this.#ready === ready) this.#ready = undefined
      throw error
    })
    this.#ready = ready
    return ready
  }

  async #start(): Promise<Run> {
    const run = this.#begin()
    const { conversation, child } = run
    try {
      // Only the call itself is the action's: what makes it possible is told to nobody, and has no effect to be stopped.
      const options = { requestId: randomUUID(), actionId: '', mayStart: () => true }
      const asked = { method: 'initialize', params: initializeParams(), options }
      versionOf(await conversation.ask('', asked, START_MS))
    } catch (error) {
      await child.stop()
      throw error
    }
    conversation.tell(INITIALIZED)
    this.#hasSpoken = true
    return run
  }

  #begin(): Run {
    const { program } = this.#upstream
    if (this.#isStopped) throw new PeerError('no policy names it any more')
    assertAllowed(program, this.#parts.programs)
    const waitMs = this.#restarts.waitMs(performance.now())
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1000)
      throw new PeerError(`${this.#lastEnd}; it may be started again in ${seconds} s`)
    }
    const { env, missing } = childEnv(program, this.#parts.env)
    if (missing.length > 0) {
      throw new PeerError(`it is to be given what is not set: ${missing.join(', ')}`)
    }
    const run = this.#spawn(program, env)
    this.#run = run
    return run
  }

  #spawn({ command, cwd }: ChildProgram, env: Readonly<Record<string, string>>): Run {
    const { log, mask: maskOf, onEcho } = this.#parts
    const { name, responseBytesMax, timeoutMs, http } = this.#upstream
    const mask = maskOf(this.#upstream)
    const errors = new StderrLog(mask, (text) => log(name, child.pid, text))
    const lines = new Lines({
      bytesMax: responseBytesMax,
      onLine: (line) => conversation.line(line),
      onLong: (ends) => conversation.longLine(ends),
    })
    const child: Child = begun({
      command,
      env,
      cwd,
      onOut: (chunk) => lines.write(chunk),
      onErr: (chunk) => errors.write(chunk, performance.now()),
      onEnd: (how) => {
        errors.end()
        this.#ended(run, how)
      },
    })
    const conversation = new Conversation({
      mouth: child,
      timeoutMs,
      totalTimeoutMs: http.totalTimeoutMs,
      mask,
      onEcho: () => onEcho(name),
      onListChanged: this.#onListChanged,
    })
    const run = { child, conversation }
    return run
  }

  #ended({ child, conversation }: Run, how: string): void {
    this.#run = undefined
    this.#ready = undefined
    this.#lastEnd = how
    const { log, onDown } = this.#parts
    const { name } = this.#upstream
    const isDown = !this.#isStopped && this.#restarts.crashed(performance.now())
    log(name, child.pid, how)
    conversation.over(how)
    this.#onListChanged() // the next run may be another version of it
    if (isDown) onDown(name, how)
  }
}

/** @throws PeerError for what only a policy wants */
function assertAllowed({ command, cwd }: ChildProgram, { commands, folders }: AllowedPrograms) {
  if (!isAmong(commands, command)) {
    throw new PeerError(`the gate may not start \`${command[0]}\`: see MCP_COMMANDS`)
  }
  // What lies in a folder may say what an allowed program loads.
  if (cwd !== null && !folders.includes(path.resolve(cwd))) {
    throw new PeerError(`it may not run in \`${cwd}\`: see MCP_FOLDERS`)
  }
}

/** Whether a command line begins with one of these. */
const isAmong = (commands: readonly (readonly string[])[], command: readonly string[]): boolean =>
  commands.some(
    (words) => words.length > 0 && words.every((word, index) => word === command[index]),
  )

/** @throws PeerError where the machine has no room for one more */
function begun(parts: ConstructorParameters<typeof Child>[0]): Child {
  try {
    return new Child(parts)
  } catch (error) {
    const { code = 'unknown' } = error as { code?: string }
    throw new PeerError(`it does not start: ${code}`)
  }
}
