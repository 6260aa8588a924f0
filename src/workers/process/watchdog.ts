import { Worker } from 'node:worker_threads'

export interface WatchdogOptions {
  /** How long the event loop may stand still before the process is killed, in milliseconds. */
  limitMs: number
  /** How often the event loop gives a sign of life, in milliseconds. Default 100. */
  intervalMs?: number
}

/**
 * Kills this process when its event loop stands still. Code of the app that never returns cannot be interrupted, and a
 * process that hangs keeps its functions and locks while it serves nobody. The supervisor starts another process, and
 * what this one was doing counts as failed (see projector.ts).
 *
 * A thread counts checks without a new sign of life, instead of measuring time. So a process that was stopped and
 * resumed, or a machine that slept, has missed none.
 *
 * @returns a function that ends the watch
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
        'The event loop was blocked for ' + limitMs + ' ms, so the process is killed and started again. ' +
        'The usual cause is a handler of the app that does not return; its event is parked after a few times.' }) + '\\n')
    } finally {
      process.kill(process.pid, 'SIGKILL')
    }
  }
`
