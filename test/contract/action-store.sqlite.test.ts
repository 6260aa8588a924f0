import { join } from 'node:path'
import { openSqliteActionStore } from '../../src/operator/sqlite/action-store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { actionStoreContract } from './action-store.ts'

actionStoreContract(() => {
  const path = join(tempFolder(), 'operator.db')
  return async () => openSqliteActionStore(path)
})
