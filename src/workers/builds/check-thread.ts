import { workerData } from 'node:worker_threads'
import { openSqliteLogCheck } from '../../log/sqlite/log-check.ts'
import { extendDigest } from '../../projection/digest.ts'
import { type CheckedRun, type CheckOrder, GIVEN, HELD, MAX_HELD_KIB, sizeOf } from './checked-log.ts'

/**
 * Reads the log ahead of a build: checks that the rows are what was written, and extends the digest, so that the thread
 * that folds does not have to. It ends at the head of the log, or at a damaged row, which the build then finds itself.
 */
const order = workerData as CheckOrder
const counts = new Int32Array(order.signals)

function give(message: CheckedRun | 'end'): void {
  order.port.postMessage(message)
  Atomics.add(counts, GIVEN, 1)
  Atomics.notify(counts, GIVEN)
}

function checkAll(): void {
  const { log, types, partition, batchSize, batchBytes } = order
  const check = openSqliteLogCheck(log, { types: new Set(types), partition })
  let { position, digest } = order
  try {
    for (;;) {
      for (let held = Atomics.load(counts, HELD); held >= MAX_HELD_KIB; held = Atomics.load(counts, HELD)) {
        Atomics.wait(counts, HELD, held, 1_000)
      }
      const page = check.next(position, batchSize, batchBytes)
      if (!page || page.through === position) return
      const { ids, events, through } = page
      const after = extendDigest(digest, ids)
      const run = { after: position, through, before: digest, digest: after, events }
      Atomics.add(counts, HELD, sizeOf(run))
      give(run)
      position = through
      digest = after
    }
  } finally {
    check.close()
  }
}

try {
  checkAll()
} catch {
  // The build reads on without this thread, and reports what is wrong.
} finally {
  give('end')
  order.port.close()
}
