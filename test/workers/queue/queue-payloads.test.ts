import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { DurableQueue } from '../../../src/queue/queue.ts'
import { openSqliteQueueStore } from '../../../src/queue/sqlite/store.ts'
import { enqueuePayload, parsePayload } from '../../../src/workers/queue/queue-payloads.ts'
import { tempFolder } from '../../support/temp-folder.ts'

test('no message that was answered is taken for a duplicate of one with another receipt', async () => {
  const store = await openSqliteQueueStore({ folder: join(tempFolder(), 'data') })
  const queue = await DurableQueue.open({ store, log: pino({ level: 'silent' }) })
  onTestFinished(() => void queue.stop(0))
  let answered = 0
  for (const messageReceiptId of ['\ud800', '\ud801', 'a', 'a\u0000b', 'a\nb', '\u{1f600}', ' ']) {
    try {
      const given = { queue: 'default', function_id: 'f', data: {}, messageReceiptId }
      const { function_id, messageReceiptId: id, ...rest } = parsePayload('enqueue', enqueuePayload, given)
      await queue.enqueue({ ...rest, functionId: function_id, id })
      answered += 1
    } catch (error) {
      expect(error).toMatchObject({ code: 'CQRS_QUEUE_INVALID' })
    }
  }
  expect((await queue.list())[0]).toMatchObject({ depth: answered })
  expect(answered).toBe(5)
})
