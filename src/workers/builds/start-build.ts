import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import type { Build, BuildEvents, BuildOrder } from '../../generations/place.ts'
import { BEAT, type BuildMessage, type BuildThreadOrder, FOLDING, STOP, YIELD } from './build-messages.ts'

export interface BuildThreadOptions {
  readonly order: Omit<BuildThreadOrder, 'signals' | 'until'> & Pick<BuildOrder, 'until'>
  readonly events: BuildEvents
  /**
   * How long the handlers of one batch may take, in milliseconds; after that the thread is ended and another one
   * started.
   */
  readonly hangMs: number
  /** Whether live views are behind; the build then leaves the processor to them. */
  isLiveBehind(): boolean
  readonly log: Logger
}

/** How often a build is checked, in milliseconds. */
const LOOK_MS = 200

/** The wait before a failed thread is started again, in milliseconds; it doubles with each failure, up to the cap. */
const AGAIN = { baseMs: 200, capMs: 10_000 }

/**
 * Builds a part in a thread, and starts another thread if that one ends before it is done. If a handler ends the
 * thread, or hangs until the thread is ended, the next thread blames it, as for a live view: once it has done so twice,
 * its event is parked. A damaged view ends the build, because another thread would get no further.
 */
export function startBuildThread({ order, events, hangMs, isLiveBehind, log }: BuildThreadOptions): Build {
  const signals = new SharedArrayBuffer(16)
  const shared = new Int32Array(signals)
  let thread: Worker | undefined
  let again: NodeJS.Timeout | undefined
  let ended = Promise.resolve()
  let failures = 0
  let stopped = false
  let position = 0
  let target = 0

  const fail = (error: string) => {
    log.warn({ error }, 'A build ended before it was done; it will continue from its checkpoint')
    events.onProgress({ phase: 'folding', position, target, eventsPerSecond: 0, error })
    again = setTimeout(begin, Math.min(AGAIN.capMs, AGAIN.baseMs * 2 ** failures))
    failures += 1
  }

  const begin = () => {
    let outcome: BuildMessage | undefined
    Atomics.store(shared, FOLDING, 0)
    const workerData: BuildThreadOrder = { ...order, signals }
    let worker: Worker
    try {
      worker = new Worker(new URL('./build-thread.ts', import.meta.url), { workerData })
    } catch (error) {
      // For example at the limit of threads; other threads may end later.
      return fail(`The thread of a build cannot be started: ${(error as Error).message}`)
    }
    thread = worker
    worker.on('message', (message: BuildMessage) => {
      if (message.kind !== 'progress') outcome = message
      else {
        if (message.position > position) failures = 0
        ;({ position, target } = message)
        const { phase, rate: eventsPerSecond } = message
        events.onProgress({ phase, position, target, eventsPerSecond, error: undefined })
      }
    })
    let thrown: Error | undefined
    worker.on('error', (error: Error) => {
      thrown = error
    })
    ended = new Promise((resolve) => {
      worker.on('exit', (code) => {
        resolve()
        if (thread === worker) thread = undefined
        if (stopped) return
        if (outcome?.kind === 'done') {
          clearInterval(watch)
          events.onDone(outcome.position)
        } else if (outcome?.kind === 'damaged') {
          clearInterval(watch)
          events.onDamage(outcome.damage)
        } else if (outcome?.kind === 'failed') fail(outcome.error)
        else fail(thrown?.message ?? `The thread ended with code ${code}.`)
      })
    })
  }

  let beat = -1
  let silentMs = 0
  const yieldIfBehind = () => Atomics.store(shared, YIELD, Number(isLiveBehind()))
  const watch = setInterval(() => {
    yieldIfBehind()
    const now = Atomics.load(shared, BEAT)
    const hangs = Atomics.load(shared, FOLDING) === 1 && now === beat
    silentMs = hangs ? silentMs + LOOK_MS : 0
    beat = now
    if (silentMs < hangMs) return
    silentMs = 0
    log.error(`The handlers of one batch did not return for ${hangMs} ms; the build begins again behind them`)
    void thread?.terminate()
  }, LOOK_MS)

  yieldIfBehind()
  begin()
  return {
    async stop() {
      stopped = true
      clearTimeout(again)
      clearInterval(watch)
      Atomics.store(shared, STOP, 1)
      // A thread that hangs does not see the signal.
      const last = setTimeout(() => void thread?.terminate(), 2_000)
      await ended
      clearTimeout(last)
    },
  }
}
