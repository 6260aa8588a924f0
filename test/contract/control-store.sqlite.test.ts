import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { controlStoreContract } from './control-store.ts'

const SWAPPING_THREAD = new URL('../support/swapping-thread.ts', import.meta.url)

controlStoreContract(() => {
  const path = join(tempFolder(), 'control.db')
  return {
    open: async () => openSqliteControl({ path }),
    /** In a thread, since SQLite is called on the thread that asks. */
    swapMeanwhile(flag) {
      const thread = new Worker(SWAPPING_THREAD, { workerData: { path, flag } })
      return new Promise((resolve, reject) => {
        thread.once('message', resolve)
        thread.once('error', reject)
      })
    },
  }
})
