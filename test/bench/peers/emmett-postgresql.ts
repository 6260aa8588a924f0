import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql'
import { serveTask } from '../lab/task.ts'
import type { PeerInput } from '../peer.ts'
import { appendTo } from './emmett-append.ts'

serveTask(async (input: PeerInput) => {
  const store = getPostgreSQLEventStore(input.at)
  await store.schema.migrate()
  // Streams of an earlier round are still there.
  const own = {
    appendToStream: (stream, ...rest) => store.appendToStream(`${process.pid}-${stream}`, ...rest),
  }
  return appendTo(own, input)
})
