import { Worker } from 'node:worker_threads'

export interface WatchdogOptions {
  /** How long the event loop may stand still before the process is killed, in milliseconds. */
  limitMs: number
  /** How often the event loop gives a sign of life, in milliseconds. Default 100. */
  intervalMs?: number
}

/**
 * Kills this process when its event loop stands still: code of the app that never returns cannot be
 * interrupted, and a process that hangs holds its functions and its locks while nobody is served. Its
 * supervisor starts another, and what it was doing counts as failed (see projector.ts).
 *
 * A thread counts looks at which there was no new sign of life, rather than time: a process that was
 * stopped and resumed, or a machine that slept, has missed none.
 *
 * @returns a function that ends it
 */
export function startWatchdog({ limitMs, intervalMs = 100 }: WatchdogOptions): () => void {
  const signs = new Int32Array(new SharedArrayBuffer(4))
  const looks = Math.max(2, Math.ceil(limitMs / intervalMs))
  const thread = new Worker(WATCH, {
    eval: true,
    execArgv: [],
    workerData: { signs, intervalMs, looks, limitMs },
  })
  thread.unref()
  const timer = setInterval(() => Atomics.add(signs, 0, 1), intervalMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    void thread.terminate()
  }
}

const WATCH = `
  const { workerData: { signs, intervalMs, looks, limitMs } } = require('node:worker_threads')
  const { writeSync } = require('node:fs')
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let seen = Atomics.load(signs, 0), missed = 0; ; ) {
    Atomics.wait(pause, 0, 0, intervalMs)
    const now = Atomics.load(signs, 0)
    missed = now === seen ? missed + 1 : 0
    seen = now
    if (missed < looks) continue
    try {
      writeSync(2, JSON.stringify({ level: 60, time: Date.now(), pid: process.pid, msg:
        'The event loop stood still for ' + limitMs + ' ms, so the process is killed and started again. ' +
        'A handler of the app that does not return is the usual cause; it is parked after a few times.' }) + '\\n')
    } finally {
      process.kill(process.pid, 'SIGKILL')
    }
  }
`
