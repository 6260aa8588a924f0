import { parentPort, workerData } from 'node:worker_threads'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'

/** Lets two generations of `list` take each other's place over and over, until the flag is set. */
const { path, flag } = workerData as { path: string; flag: Int32Array }
const store = openSqliteControl({ path })
let swaps = 0
for (let [active, other] = [2, 1]; Atomics.load(flag, 0) === 0; [active, other] = [other, active]) {
  await store.move('list', other, 'returning')
  await store.lead('list', other, 0, active)
  const { kind } = await store.swap('list', other)
  if (kind !== 'swapped') throw new Error(`The swap was ${kind}.`)
  swaps += 1
  await store.tookOver('list', 0, swaps + 1)
}
store.close()
parentPort?.postMessage(swaps)
