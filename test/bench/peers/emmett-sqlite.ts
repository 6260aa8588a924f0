import { getSQLiteEventStore } from '@event-driven-io/emmett-sqlite'
import { serveTask } from '../lab/task.ts'
import type { PeerInput } from '../peer.ts'
import { appendTo } from './emmett-append.ts'

serveTask(async (input: PeerInput) => {
  const store = getSQLiteEventStore({ fileName: input.at, schema: { autoMigration: 'CreateOrUpdate' } })
  return appendTo(store, input)
})
