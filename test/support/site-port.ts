import { isFree } from '../../src/supervisor/ports.ts'

/**
 * The ports of sites, below those that the program picks for itself. Each worker of vitest has a range of its own: a
 * port that is free when it is picked is listened at only a second later, and not while its engine is started again.
 */
const FIRST = 10_000
const OF_EACH_WORKER = 2_000
const WORKERS = 4

const worker = Number(process.env.VITEST_POOL_ID ?? 1) % WORKERS

/** Processes of an earlier file may listen for a moment longer, so each file begins somewhere else. */
let last = Math.floor(Math.random() * OF_EACH_WORKER)

/** A port of this machine that is free, and that no other test picks. */
export async function sitePort(): Promise<number> {
  for (;;) {
    last = (last + 1) % OF_EACH_WORKER
    const port = FIRST + worker * OF_EACH_WORKER + last
    if (await isFree({ host: '127.0.0.1', port })) return port
  }
}
