import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test, vi } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import { effectColumns } from '../../src/projection/sqlite/rows.ts'
import { compareSqliteViews } from '../../src/projection/sqlite/view-snapshot.ts'
import { effect } from '../contract/view.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

/** Calls `meanwhile` before each read of a table, as if another process worked all the time. */
function beforeEachRead(table: string, meanwhile: () => void): void {
  const prepare = DatabaseSync.prototype.prepare
  const spy = vi.spyOn(DatabaseSync.prototype, 'prepare').mockImplementation(function (
    this: DatabaseSync,
    sql,
  ) {
    const statement = prepare.call(this, sql)
    if (!sql.includes(`FROM ${table}`)) return statement
    for (const read of ['get', 'iterate'] as const) {
      const original: (...values: never[]) => unknown = statement[read].bind(statement)
      const after = (...values: never[]) => {
        meanwhile()
        return original(...values)
      }
      Object.assign(statement, { [read]: after })
    }
    return statement
  })
  onTestFinished(() => spy.mockRestore())
}

test('a generation of a reactor that records effects while it is read is not taken for damaged', async () => {
  const { data, move, work } = generations()
  const worker = await work(balances())
  await move('ada', -1)
  await worker.settle()
  await worker.request()
  await worker.settle()
  const [before, after] = [1, 2].map((generation) => viewPath(data, 'balances', { generation })) as [
    string,
    string,
  ]
  const writer = new DatabaseSync(before)
  onTestFinished(() => writer.close())
  const record = writer.prepare(
    `INSERT INTO effects (idempotency_key, effect, checksum, status) VALUES (?, ?, ?, 'pending')`,
  )
  let recorded = 1
  beforeEachRead('effects', () => {
    recorded += 1
    record.run(...effectColumns(effect(recorded)))
  })
  expect(compareSqliteViews('balances', [before], [after])).toMatchObject({ kind: 'compared' })
  expect(recorded).toBeGreaterThan(2)
})
