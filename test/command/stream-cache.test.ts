import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CommandExecutor } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** An executor, and the streams that it has folded from the log. */
function executor(limits: { streamCacheSize: number; streamCacheBytes?: number }) {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const folded: string[] = []
  const { readStream } = log
  log.readStream = (stream, options) => {
    folded.push(stream)
    return readStream.call(log, stream, options)
  }
  const made = new CommandExecutor({
    app: inventory,
    log,
    ...limits,
    conflictRetries: 10,
    onAppended: () => undefined,
    now: () => new Date(0),
  })
  const execute = (name: string, input: unknown) => made.execute(name, input, { commandId: 'c' })
  return {
    folded,
    add: (sku: string) => execute('add-inventory-item', { sku, name: sku, priceCents: 100, quantity: 10 }),
    sell: (sku: string) => execute('sell-item', { sku, quantity: 1 }),
  }
}

const SKUS = Array.from({ length: 50 }, (_, number) => `item-${number}`)

test.for([
  ['number', { streamCacheSize: 10 }],
  ['memory', { streamCacheSize: 10_000, streamCacheBytes: 3_000 }],
] as const)(
  'streams beyond the limit of %s are dropped, the least recently used first',
  async ([, limits]) => {
    const { add, sell, folded } = executor(limits)
    for (const sku of SKUS) await add(sku)
    folded.length = 0
    for (const sku of ['item-49', 'item-48', 'item-49', 'item-0', 'item-49']) {
      expect(await sell(sku)).toMatchObject({ kind: 'accepted' })
    }
    expect(folded).toEqual([expect.stringContaining('item-0')])
  },
)

test('a state that is larger than the memory for all of them is kept for the next command of its stream', async () => {
  const { add, sell, folded } = executor({ streamCacheSize: 10_000, streamCacheBytes: 1 })
  await add('item-0')
  folded.length = 0
  await sell('item-0')
  expect(folded).toEqual([])
})
