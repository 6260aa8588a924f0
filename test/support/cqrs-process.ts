import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFailed, onTestFinished } from 'vitest'
import { isReadyMessage } from '../../src/supervisor/supervised.ts'
import { killWithChildren } from './process-tree.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = fileURLToPath(new URL('../../src/cqrs.js', import.meta.url))

/** Lines of a process's output that are shown when its test fails. */
const SHOWN_LINES = 60

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Who a process belongs to: one test, unless several share it. */
export interface Lifetime {
  /** Called with what shows the process's last lines. */
  onFailed(show: () => void): void
  /** Called with what ends the process. */
  onFinished(end: () => Promise<void>): void
}

export const OF_ONE_TEST: Lifetime = { onFailed: onTestFailed, onFinished: onTestFinished }

/** Starts a program with its output piped. */
export type Spawn = (args: readonly string[], env: Readonly<Record<string, string>>) => ChildProcess

// The channel makes it end by itself should this process be killed.
const spawnCqrs: Spawn = (args, env) =>
  spawn(process.execPath, [CLI, ...args], {
    cwd: ROOT,
    env: { ...withoutSettings(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })

/**
 * The program `cqrs` as a real process, for one test: its output is kept and shown if the test fails, and
 * it is killed with all its children when the test ends. Another program can take its place.
 */
export class CqrsProcess {
  readonly name: string
  /** Everything it wrote, both streams. */
  output = ''
  readonly exited: Promise<Exit>
  /** It is gone, and all of its output was read. */
  ended = false
  readonly #child: ChildProcess
  readonly #ready = Promise.withResolvers<void>()

  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    lifetime: Lifetime = OF_ONE_TEST,
    spawnProgram: Spawn = spawnCqrs,
  ) {
    this.name = args.join(' ')
    this.#child = spawnProgram(args, env)
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#heard(text))
    }
    this.#child.on('message', (message) => {
      if (isReadyMessage(message)) this.#ready.resolve()
    })
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#ready.reject(new Error(`cqrs ${this.name} ended (${code ?? signal}):\n${this.#lastLines()}`))
        this.ended = true
        resolve({ code, signal })
      })
    })
    this.#ready.promise.catch(() => {})
    lifetime.onFailed(() => void process.stderr.write(`\n--- cqrs ${this.name}\n${this.#lastLines()}\n`))
    lifetime.onFinished(() => this.#killAll())
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves when it serves. @throws Error with its last lines if it ends before */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Sends a signal and waits until it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<Exit> {
    this.signal(signal)
    return this.exited
  }

  #heard(text: string): void {
    this.output += text
    // `cqrs up` reports to nobody but people.
    if (this.name === 'up' && this.output.includes(' is up.')) this.#ready.resolve()
  }

  #lastLines(): string {
    return this.output.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n')
  }

  async #killAll(): Promise<void> {
    killWithChildren(this.#child)
    await this.exited
  }
}

/** The settings of whoever runs the tests are not those of the tests. */
export function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(CQRS|III|OTEL)_/.test(name)))
}
