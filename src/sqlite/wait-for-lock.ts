import { isBusy } from './errors.ts'

/** How often to try, and the average pause between two tries, in milliseconds; about five seconds in all. */
const TRIES = { most: 200, pauseMs: 25 }

/**
 * Runs `attempt`, which needs a lock of the store file, and tries again for about five seconds as long as another
 * process has the lock. Blocks the thread. For locks to which SQLite does not apply its busy timeout.
 *
 * @returns what `attempt` returns
 * @throws what `attempt` throws; if the lock does not become free in time, the last "busy" error of SQLite
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
