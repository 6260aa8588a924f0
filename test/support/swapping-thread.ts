import { parentPort, workerData } from 'node:worker_threads'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { swapInTurns } from './swap-in-turns.ts'

const { path, flag } = workerData as { path: string; flag: Int32Array }
const store = openSqliteControl({ path })
const swaps = await swapInTurns(store, flag)
store.close()
parentPort?.postMessage(swaps)
