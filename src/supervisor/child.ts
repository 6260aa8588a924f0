import type { Logger } from 'pino'
import { Backoff } from './backoff.ts'
import type { Clock } from './clock.ts'
import { isPermanent } from './exit-codes.ts'
import type { ChildHandle, ChildSpec, Exit, SpawnChild } from './spawn.ts'
import { type ReadyMessage, signIntervalMs } from './supervised.ts'

/** How a process is restarted. Times are in milliseconds. */
export interface RestartPolicy {
  readonly backoffBaseMs: number
  readonly backoffCapMs: number
  /** Once a process was ready for this long, the growing waits between restarts start from the beginning. */
  readonly stableMs: number
  /** A process that is not ready after this time is killed and restarted. */
  readonly readyTimeoutMs: number
  /** A ready process that gives no sign of life for this long is killed and restarted. */
  readonly hangMs: number
}

/**
 * Extra looks after `hangMs`: a process that notices by itself that it hangs can say why, so it is given the time to
 * end first.
 */
const FURTHER_LOOKS = 2

/** What a child needs from its surroundings. */
export interface ChildSurroundings {
  readonly spawn: SpawnChild
  readonly clock: Clock
  readonly policy: RestartPolicy
  readonly log: Logger
}

/**
 * The state of a child: `idle` → `starting` → `ready`; when it dies → `waiting` → `starting`; `stopping` → `stopped`
 * from any state; `refused` if, before it was ever ready, it ended with an exit code that says that a restart is of no
 * use.
 */
export type ChildState = 'idle' | 'starting' | 'ready' | 'waiting' | 'stopping' | 'stopped' | 'refused'

/** How the first start of a child ended. */
export type FirstStart = { ready: true; message: ReadyMessage } | { ready: false; exit: Exit }

/** One process that is kept running: it is restarted, after growing waits, whenever it dies. */
export class SupervisedChild {
  readonly spec: ChildSpec
  readonly #surroundings: ChildSurroundings
  readonly #backoff: Backoff
  readonly #first = Promise.withResolvers<FirstStart>()
  readonly #ended = Promise.withResolvers<void>()
  #state: ChildState = 'idle'
  #handle: ChildHandle | undefined
  #readySince: number | undefined
  #everReady = false
  #retired = false
  #seenAlive = false
  #cancelTimer = () => {}

  constructor(spec: ChildSpec, surroundings: ChildSurroundings) {
    this.spec = spec
    this.#surroundings = surroundings
    const { backoffBaseMs, backoffCapMs } = surroundings.policy
    this.#backoff = new Backoff({ baseMs: backoffBaseMs, capMs: backoffCapMs })
  }

  get state(): ChildState {
    return this.#state
  }

  /** The id of the process that runs now. */
  get pid(): number | undefined {
    return this.#handle?.pid
  }

  /**
   * Starts the process and keeps it running. @returns how the first start ended; never settles if it is stopped before
   */
  start(): Promise<FirstStart> {
    if (this.#state === 'idle') this.#spawn()
    return this.#first.promise
  }

  /** From now on the process is not restarted when it ends. */
  retire(): void {
    this.#retired = true
    if (this.#state !== 'waiting') return
    this.#cancelTimer()
    this.#end('stopped')
  }

  /** Asks the process to end and kills it after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void> {
    if (this.#state === 'refused' || this.#state === 'stopped') return Promise.resolve()
    const handle = this.#handle
    this.#cancelTimer()
    if (!handle) {
      this.#end('stopped')
      return this.#ended.promise
    }
    const isFirst = this.#state !== 'stopping'
    this.#state = 'stopping'
    this.#cancelTimer = this.#surroundings.clock.after(graceMs, () => {
      this.#surroundings.log.warn({ child: this.spec.name, graceMs }, 'did not stop in time and is killed')
      handle.kill('SIGKILL')
    })
    if (isFirst) handle.kill('SIGTERM')
    return this.#ended.promise
  }

  #spawn(): void {
    const { spawn, clock, policy, log } = this.#surroundings
    this.#state = 'starting'
    this.#readySince = undefined
    const handle = spawn(this.spec, {
      ready: (message) => this.#onReady(message),
      alive: () => {
        this.#seenAlive = true
      },
      exited: (exit) => this.#onExit(exit),
    })
    this.#handle = handle
    this.#cancelTimer = clock.after(policy.readyTimeoutMs, () => {
      log.error(
        { child: this.spec.name, childPid: handle.pid, readyTimeoutMs: policy.readyTimeoutMs },
        'did not get ready in time; it is killed and started again',
      )
      handle.kill('SIGKILL')
    })
  }

  #onReady(message: ReadyMessage): void {
    if (this.#state !== 'starting') return
    this.#cancelTimer()
    this.#state = 'ready'
    this.#everReady = true
    this.#readySince = this.#surroundings.clock.monotonic()
    this.#surroundings.log.debug({ child: this.spec.name, childPid: this.pid }, 'is ready')
    this.#watch()
    this.#first.resolve({ ready: true, message })
  }

  /**
   * Kills the process if it gives no sign of life: a frozen process keeps its functions and locks, serves nobody, and
   * cannot help itself. This counts looks without a new sign, not time. So if the supervisor itself was stopped and
   * resumed, or its machine slept, that counts as one missed look.
   */
  #watch(): void {
    const { clock, policy, log } = this.#surroundings
    const handle = this.#handle
    const intervalMs = signIntervalMs(policy.hangMs)
    const looks = Math.ceil(policy.hangMs / intervalMs) + FURTHER_LOOKS
    const look = (missed: number) => {
      this.#cancelTimer = clock.after(intervalMs, () => {
        const now = this.#seenAlive ? 0 : missed + 1
        this.#seenAlive = false
        if (now < looks) return look(now)
        log.error(
          { child: this.spec.name, childPid: handle?.pid, hangMs: policy.hangMs },
          'gives no sign of life and is killed',
        )
        handle?.kill('SIGKILL')
      })
    }
    this.#seenAlive = false
    look(0)
  }

  #onExit(exit: Exit): void {
    const { clock, policy, log } = this.#surroundings
    const pid = this.#handle?.pid
    this.#cancelTimer()
    this.#handle = undefined
    if (this.#state === 'stopping' || this.#retired) {
      this.#end('stopped')
      return
    }
    if (this.#readySince !== undefined && clock.monotonic() - this.#readySince >= policy.stableMs) {
      this.#backoff.reset()
    }
    if (!this.#everReady && isPermanent(exit.code)) {
      this.#first.resolve({ ready: false, exit })
      this.#end('refused')
      return
    }
    const waitMs = this.#backoff.next()
    this.#state = 'waiting'
    log.warn({ child: this.spec.name, childPid: pid, ...exit, waitMs }, 'died and is started again')
    this.#cancelTimer = clock.after(waitMs, () => this.#spawn())
  }

  #end(state: 'stopped' | 'refused'): void {
    this.#state = state
    this.#ended.resolve()
  }
}
