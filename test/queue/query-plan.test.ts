import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SQL } from '../../src/queue/sqlite/message-table.ts'
import { queueSchema } from '../../src/queue/sqlite/schema.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'

test.each([
  ['findDead', 'COVERING INDEX dead_letters_by_message', 'message_id'],
  ['findDeadAgain', 'COVERING INDEX dead_letters_by_message_again', '<expr>'],
] as const)('a dead letter is looked up by its id, also one that is nobody’s: %s', (name, index, column) => {
  const db = openDatabase({ path: join(tempFolder(), 'queue.db'), schema: queueSchema })
  onTestFinished(() => db.close())
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${SQL[name]}`).all()
  expect(plan.map(({ detail }) => String(detail))).toEqual([
    `SEARCH dead_letters USING ${index} (${column}=? AND rowid>? AND rowid<?)`,
  ])
})
