import { serveCommits } from '../../src/sqlite/commit-thread.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { counterSchema } from './counter-schema.ts'

/** A store of numbers for the tests of group commit: refuses negative ones, dies of 666. */
serveCommits((path: string) => {
  const db = openDatabase({ path, schema: counterSchema, busyTimeoutMs: 100 })
  const insert = db.prepare('INSERT INTO numbers (value, batch) VALUES (?, ?)')
  let batch = 0
  return {
    db,
    path,
    begin: () => {
      batch += 1
    },
    execute(value: number): number {
      if (value === 666) process.exit(1)
      insert.run(value, batch)
      return value * 2
    },
  }
})
