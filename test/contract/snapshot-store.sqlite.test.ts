import { join } from 'node:path'
import { openSqliteSnapshots } from '../../src/command/sqlite/snapshot-store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { snapshotStoreContract } from './snapshot-store.ts'

snapshotStoreContract(() => {
  const path = join(tempFolder(), 'snapshots.db')
  return async (log) => openSqliteSnapshots(path, log)
})
