import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { queueStoreContract } from './queue-store.ts'

queueStoreContract('SQLite', () => {
  const folder = tempFolder()
  return () => openSqliteQueueStore({ folder })
})
