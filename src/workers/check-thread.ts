import { workerData } from 'node:worker_threads'
import { openSqliteLogCheck } from '../log/sqlite/log-check.ts'
import { extendDigest } from '../projection/digest.ts'
import { AHEAD, type CheckedRun, type CheckOrder, GIVEN, TAKEN } from './checked-log.ts'

/**
 * Goes through the log ahead of a build: checks that the rows are what was written and extends the digest, so that
 * the thread that folds need do neither. Ends at the head of the log, and at a damaged row, which the build then
 * meets itself.
 */
const order = workerData as CheckOrder
const counts = new Int32Array(order.signals)

function give(message: CheckedRun | 'end'): void {
  order.port.postMessage(message)
  Atomics.add(counts, GIVEN, 1)
  Atomics.notify(counts, GIVEN)
}

function checkAll(): void {
  const { log, types, partition, batchSize } = order
  const check = openSqliteLogCheck(log, { types: new Set(types), partition })
  let { position, digest } = order
  try {
    for (let runs = 0; ; runs += 1) {
      for (let seen = Atomics.load(counts, TAKEN); runs - seen >= AHEAD; seen = Atomics.load(counts, TAKEN)) {
        Atomics.wait(counts, TAKEN, seen, 1_000)
      }
      const { events, through } = check.next(position, batchSize)
      if (through === position) return
      const after = extendDigest(digest, events)
      give({ after: position, through, before: digest, digest: after })
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
  // The build reads on without us, and says what is wrong.
} finally {
  give('end')
  order.port.close()
}
