import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { StreamHeads } from '../../src/log/sqlite/stream-heads.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { tempFolder } from '../support/temp-folder.ts'

function writer(path: string) {
  const db = openDatabase({ path, schema: eventLogSchema })
  onTestFinished(() => db.close())
  const heads = new StreamHeads(db, 100)
  /** One transaction of the writer, as the commit thread runs it. */
  const transaction = <Result>(work: () => Result, end: 'COMMIT' | 'ROLLBACK' = 'COMMIT'): Result => {
    heads.begin()
    db.exec('BEGIN IMMEDIATE')
    const result = work()
    db.exec(end)
    if (end === 'COMMIT') heads.committed()
    return result
  }
  return { heads, transaction }
}

test('what another process has written since is seen', () => {
  const path = join(tempFolder(), 'events.db')
  const [one, other] = [writer(path), writer(path)]
  one.transaction(() => one.heads.move('s', { version: 1, position: 1, id: 'a' }))
  expect(one.transaction(() => one.heads.of('s').version)).toBe(1)
  other.transaction(() => other.heads.move('s', { version: 2, position: 2, id: 'b' }))
  expect(one.transaction(() => one.heads.of('s').version)).toBe(2)
})

test('what was rolled back is forgotten', () => {
  const { heads, transaction } = writer(join(tempFolder(), 'events.db'))
  transaction(() => heads.move('s', { version: 1, position: 1, id: 'a' }))
  transaction(() => heads.move('s', { version: 2, position: 2, id: 'b' }), 'ROLLBACK')
  expect(transaction(() => heads.of('s').version)).toBe(1)
})
