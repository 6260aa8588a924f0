import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { snapshotSchema } from '../../src/command/sqlite/snapshot-schema.ts'
import { controlSchema } from '../../src/control/sqlite/schema.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { actionSchema } from '../../src/operator/sqlite/action-store.ts'
import { viewSchema } from '../../src/projection/sqlite/schema.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { queueSchema, SEQ_BITS, SEQ_MASK } from '../../src/queue/sqlite/schema.ts'
import { openSqliteQueueStore } from '../../src/queue/sqlite/store.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { balances } from '../support/ledger-app.ts'
import { older } from '../support/older-store.ts'
import { tempFolder } from '../support/temp-folder.ts'

const SCHEMAS = [eventLogSchema, snapshotSchema, queueSchema, controlSchema, viewSchema, actionSchema]
const OLDER = SCHEMAS.flatMap((schema) =>
  schema.migrations.slice(1).map((_, index) => [schema, index + 1] as const),
)

test.for(OLDER.map(([schema, steps]) => [schema.name, steps, schema] as const))(
  'the %s of a program that knew %i steps is brought to what this one knows',
  ([, steps, schema]) => {
    const path = join(tempFolder(), 'older.db')
    older(path, schema, steps).close()
    openDatabase({ path, schema }).close()
    openDatabase({ path, schema }).close()
  },
)

test.for([1, 2, 3])(
  'a queue of a program that knew %i steps keeps its messages and dead letters',
  async (steps) => {
    const folder = tempFolder()
    const db = older(join(folder, 'queue.db'), queueSchema, steps)
    db.exec(
      `INSERT INTO queues (name, definition, tail, depth, dead) VALUES ('jobs', '{"settings":{}}', 3, 2, 1)`,
    )
    const place = `(1 << ${SEQ_BITS})`
    db.exec(`INSERT INTO messages (key, message_id, function_id, data)
    VALUES (${place} | 1, 'first', 'f', '{"n":1}'), (${place} | 2, 'second', 'f', '{"n":2}')`)
    db.exec(`INSERT INTO dead_letters (key, message_id, function_id, data, attempts, stops, failed_at, history)
    VALUES (${place} | 3, 'dead', 'f', '{"n":3}', 3, 0, 5, '[]')`)
    if (steps > 1) {
      for (const table of ['messages', 'dead_letters']) {
        db.exec(`UPDATE ${table} SET checksum =
        row_checksum(key & ${SEQ_MASK}, message_id, function_id, message_group, data)`)
      }
    }
    db.close()
    const store = await openSqliteQueueStore({ folder })
    onTestFinished(() => store.close())
    expect(await store.queues()).toMatchObject([{ name: 'jobs', depth: 2, dead: 1, tail: 3 }])
    const ids = async () => (await store.read('jobs', 0, 10, 1e6)).messages.map(({ id }) => id)
    expect(await ids()).toEqual(['first', 'second'])
    expect(await store.redriveMessage('jobs', 'dead')).toBe(true)
    expect(await ids()).toEqual(['first', 'second', 'dead'])
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const message = { queue: 'jobs', id: 'new', functionId: 'f', group: undefined, data: '{}', traceparent }
    expect(await store.enqueue([message])).toMatchObject([{ outcome: 'accepted' }])
    expect((await store.read('jobs', 3, 10, 1e6)).messages).toMatchObject([{ id: 'new', traceparent }])
  },
)

test.for([1, 2, 3])('effects of a program that knew %i steps are what was recorded', async (steps) => {
  const path = join(tempFolder(), 'view.db')
  const db = older(path, viewSchema, steps)
  db.exec(`INSERT INTO checkpoint (id, projection, version, position, processed, digest, revision)
    VALUES (1, 'balances', 1, 1, 1, '', 1)`)
  const effect = { kind: 'publish', topic: 'overdrawn', data: { account: 'ada' } }
  db.prepare(
    `INSERT INTO effects (idempotency_key, effect, status) VALUES ('balances:1:1', ?, 'pending')`,
  ).run(JSON.stringify(effect))
  db.close()
  const view = openSqliteView(path, balances())
  onTestFinished(() => view.close())
  expect(await view.pendingEffects(10)).toEqual([
    {
      idempotencyKey: 'balances:1:1',
      effect,
      status: 'pending',
      attempts: 0,
      error: undefined,
      failedAt: undefined,
    },
  ])
})
