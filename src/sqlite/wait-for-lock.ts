import { isBusy } from './errors.ts'

/** How often to try, and the average pause between two tries, in milliseconds; about five seconds in all. */
const TRIES = { most: 200, pauseMs: 25 }

/**
 * Does something for which SQLite needs a lock of the file, and tries again for about five seconds while another process
 * has it. Blocks the thread. For locks to which SQLite does not apply its busy timeout.
 *
 * @returns what `attempt` returns
 * @throws what `attempt` throws; if the lock is not to be had in time, the last "busy" error of SQLite
 */
export function waitForLock<Result>(attempt: () => Result): Result {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 1; ; tries += 1) {
    try {
      return attempt()
    } catch (error) {
      if (!isBusy(error) || tries >= TRIES.most) throw error
      // Random, because two processes that try at the same time block each other.
      Atomics.wait(pause, 0, 0, TRIES.pauseMs * (0.5 + Math.random()))
    }
  }
}
