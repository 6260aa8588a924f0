import { randomUUIDv7 } from 'node:crypto'
import { CommandExecutor, type CommandOutcome } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'

/** One of the commands that the process is told to carry out. */
export interface KeyedCommand {
  readonly name: string
  readonly input: object
  readonly idempotencyKey: string
}

/** What it answers for each of them, in the same order; an error's message where there was no outcome. */
export type KeyedAnswer = CommandOutcome | { readonly kind: 'failed'; readonly message: string }

/*
 * Commands on the log that the first argument names, without the lock that keeps a second commands worker
 * from working on the same data folder.
 */
const [path = ''] = process.argv.slice(2)
const executor = new CommandExecutor({
  app: inventory,
  log: openSqliteEventLog({ path }),
  streamCacheSize: 100,
  conflictRetries: 1_000,
  onAppended: () => undefined,
  now: () => new Date(),
})

/** Commands under way at the same time; all at once would be one transaction, and nothing to race with. */
const CLIENTS = 8

process.on('message', async (commands: readonly KeyedCommand[]) => {
  const answers: KeyedAnswer[] = []
  const left = commands.entries()
  const client = async () => {
    for (const [index, { name, input, idempotencyKey }] of left) {
      answers[index] = await executor
        .execute(name, input, { commandId: randomUUIDv7(), idempotencyKey })
        .catch((error: Error): KeyedAnswer => ({ kind: 'failed', message: error.message }))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  process.send?.(answers)
})
process.send?.('ready')
