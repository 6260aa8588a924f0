import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { actionSchema, LIST, LIST_OF_OPERATION, REMOVE } from '../../src/operator/sqlite/action-store.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'

test.each([
  ['all actions', LIST, 'INTEGER PRIMARY KEY (rowid<?)'],
  ['the actions of an operation', LIST_OF_OPERATION, 'INDEX actions_by_operation (operation=? AND id<?)'],
])('a page of %s is sought in its index, however many others there are', (_, sql, seek) => {
  const db = openDatabase({ path: join(tempFolder(), 'actions.db'), schema: actionSchema })
  onTestFinished(() => db.close())
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
  expect(plan.map(({ detail }) => String(detail))).toEqual([`SEARCH actions USING ${seek}`])
})

test('old actions are removed by their ids, without looking at the others', () => {
  const db = openDatabase({ path: join(tempFolder(), 'actions.db'), schema: actionSchema })
  onTestFinished(() => db.close())
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${REMOVE}`).all()
  expect(plan.map(({ detail }) => String(detail))).toContain(
    'SEARCH actions USING INTEGER PRIMARY KEY (rowid=?)',
  )
})
