import { join } from 'node:path'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { tempFolder } from '../support/temp-folder.ts'
import type { NewView } from './view.ts'
import { viewEffectsContract } from './view-effects.ts'
import { viewReaderContract } from './view-reader.ts'
import { viewStoreContract } from './view-store.ts'

const newView: NewView = () => {
  const path = join(tempFolder(), 'view.db')
  return {
    write: async (projection) => openSqliteView(path, projection),
    read: async (projection) => openSqliteViewReader(path, projection),
  }
}

viewStoreContract(newView)
viewEffectsContract(newView)
viewReaderContract(newView)
