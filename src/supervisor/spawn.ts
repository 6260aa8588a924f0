import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { isReadyMessage, isSignOfLife, type ReadyMessage } from './supervised.ts'

/** The program `cqrs`, as a module that {@link ChildSpec} can name. */
export const CLI = fileURLToPath(new URL('../cli.ts', import.meta.url))

/** A process to run. */
export interface ChildSpec {
  /** What it is called in logs, e.g. `commands`. */
  readonly name: string
  /** The program: a module that Node can run. */
  readonly module: string
  readonly args: readonly string[]
  /** Environment variables with defaults: the supervisor's own values take precedence. */
  readonly defaults?: Readonly<Record<string, string>>
  /** Environment variables added to the supervisor's own; called at each start. */
  env?(): Readonly<Record<string, string>>
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What the supervisor is told about a process. */
export interface ChildEvents {
  /** It said that it is ready to serve. */
  ready(message: ReadyMessage): void
  /** It gave a sign of life. */
  alive(): void
  /** It ended, or could not be started. Called once. */
  exited(exit: Exit): void
}

/** A process that was started. */
export interface ChildHandle {
  readonly pid: number | undefined
  kill(signal: NodeJS.Signals): void
}

/** Starts a process. */
export type SpawnChild = (spec: ChildSpec, events: ChildEvents) => ChildHandle

/**
 * Starts a process with the same Node as this one. Its output is passed through, and an IPC channel lets it notice when
 * this process is gone.
 */
export const spawnChild: SpawnChild = (spec, events) => {
  const child = fork(spec.module, [...spec.args], {
    env: { ...spec.defaults, ...process.env, ...spec.env?.() },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let ended = false
  const exited = (exit: Exit) => {
    if (ended) return
    ended = true
    events.exited(exit)
  }
  child.on('message', (message) => {
    if (isReadyMessage(message)) events.ready(message)
    else if (isSignOfLife(message)) events.alive()
  })
  child.once('exit', (code, signal) => exited({ code, signal }))
  child.on('error', () => {
    if (child.pid === undefined) exited({ code: null, signal: null })
  })
  return {
    get pid() {
      return child.pid
    },
    kill: (signal) => void child.kill(signal),
  }
}
