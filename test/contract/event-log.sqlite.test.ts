import { join } from 'node:path'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { eventLogContract } from './event-log.ts'

eventLogContract(tempFolder, async (folder) => openSqliteEventLog({ path: join(folder, 'events.db') }))
