import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { migrate } from '../../src/sqlite/migrate.ts'
import { assertSqliteVersion, openDatabase } from '../../src/sqlite/open.ts'
import { counterSchema } from '../support/counter-schema.ts'
import { tempFolder } from '../support/temp-folder.ts'

const newer = { ...counterSchema, migrations: [...counterSchema.migrations, 'CREATE TABLE later (x)'] }

test('a store keeps its rows and gains the steps that a newer program brings', () => {
  const path = join(tempFolder(), 'numbers.db')
  const first = openDatabase({ path, schema: counterSchema })
  first.exec('INSERT INTO numbers VALUES (7, 1)')
  first.close()
  const second = openDatabase({ path, schema: newer })
  expect(second.prepare('SELECT value FROM numbers').all()).toEqual([{ value: 7 }])
  expect(second.prepare('SELECT * FROM later').all()).toEqual([])
  second.close()
})

test('a store of a newer program is refused and left as it is', () => {
  const path = join(tempFolder(), 'numbers.db')
  openDatabase({ path, schema: newer }).close()
  expect(() => openDatabase({ path, schema: counterSchema })).toThrow(
    expect.objectContaining({ code: 'CQRS_STORE_NEWER' }),
  )
  openDatabase({ path, schema: newer }).close()
})

test.each([false, true])(
  'a store that a process of an older program has open stays as it is (read only: %s)',
  (readOnly) => {
    const path = join(tempFolder(), 'numbers.db')
    const older = openDatabase({ path, schema: counterSchema, readOnly })
    for (const readOnly of [true, false]) {
      expect(() => openDatabase({ path, schema: newer, readOnly })).toThrow(
        expect.objectContaining({ code: 'CQRS_STORE_LOCKED' }),
      )
    }
    expect(older.prepare('PRAGMA user_version').get()).toEqual({ user_version: 1 })
    openDatabase({ path, schema: counterSchema }).close()
    older.close()
    openDatabase({ path, schema: newer }).close()
  },
)

test('a store that somebody has for himself is waited for, but not without end', () => {
  const path = join(tempFolder(), 'numbers.db')
  openDatabase({ path, schema: counterSchema }).close()
  const alone = new DatabaseSync(path)
  alone.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE')
  expect(() => openDatabase({ path, schema: counterSchema })).toThrow(
    expect.objectContaining({ code: 'CQRS_STORE_UNAVAILABLE' }),
  )
  alone.close()
  openDatabase({ path, schema: counterSchema }).close()
})

test('a database of somebody else is refused and left as it is', () => {
  const path = join(tempFolder(), 'foreign.db')
  const foreign = new DatabaseSync(path)
  foreign.exec('CREATE TABLE theirs (x)')
  expect(() => openDatabase({ path, schema: counterSchema })).toThrow(
    expect.objectContaining({ code: 'CQRS_STORE_FOREIGN' }),
  )
  expect(foreign.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'theirs' }])
  foreign.close()
})

test('a file that is no database is refused with advice', () => {
  const path = join(tempFolder(), 'notes.txt')
  writeFileSync(path, 'not a database, but more than sixteen bytes of text '.repeat(40))
  expect(() => openDatabase({ path, schema: counterSchema })).toThrow(
    expect.objectContaining({ code: 'CQRS_STORE_CORRUPT' }),
  )
})

test('a store file is readable by its owner alone', () => {
  const path = join(tempFolder(), 'numbers.db')
  openDatabase({ path, schema: counterSchema }).close()
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('commits are synced to disk unless asked otherwise', () => {
  const folder = tempFolder()
  const pragmas = (durability?: 'normal') => {
    const db = openDatabase({ path: join(folder, `${durability}.db`), schema: counterSchema, durability })
    const found = [db.prepare('PRAGMA synchronous').get(), db.prepare('PRAGMA journal_mode').get()]
    db.close()
    return found
  }
  expect(pragmas()).toEqual([{ synchronous: 2 }, { journal_mode: 'wal' }])
  expect(pragmas('normal')).toEqual([{ synchronous: 1 }, { journal_mode: 'wal' }])
})

test('what checkpoints have copied, and the disk may have lost, is copied again for the next writer', () => {
  const path = join(tempFolder(), 'numbers.db')
  const open = (readOnly: boolean) => {
    const db = openDatabase({ path, schema: counterSchema, checkpointPages: 0, readOnly })
    onTestFinished(() => db.close())
    return db
  }
  const writer = open(false)
  writer.exec('INSERT INTO numbers VALUES (7, 1); PRAGMA wal_checkpoint(PASSIVE)')
  const whole = readFileSync(path)
  // The page of the table, as if it had never reached the disk.
  writeSync(openSync(path, 'r+'), Buffer.alloc(4_096), 0, 4_096, 4_096)
  for (const readOnly of [true, false]) {
    open(readOnly).exec('PRAGMA wal_checkpoint(PASSIVE)')
    expect(readFileSync(path).equals(whole)).toBe(!readOnly)
  }
})

test('a read-only store refuses to be written', () => {
  const db = openDatabase({ path: join(tempFolder(), 'numbers.db'), schema: counterSchema, readOnly: true })
  expect(() => db.exec('INSERT INTO numbers VALUES (1, 1)')).toThrow(/readonly/)
  db.close()
})

test('a store that has to be there is not made, nor is its folder', () => {
  const folder = tempFolder()
  for (const path of [join(folder, 'numbers.db'), join(folder, 'new', 'numbers.db')]) {
    expect(() => openDatabase({ path, schema: counterSchema, mustExist: true })).toThrow(
      expect.objectContaining({ code: 'CQRS_STORE_UNAVAILABLE' }),
    )
  }
  expect(readdirSync(folder)).toEqual([])
  const path = join(folder, 'its name? #1 50% é.db')
  openDatabase({ path, schema: counterSchema }).close()
  const db = openDatabase({ path, schema: counterSchema, mustExist: true })
  db.exec('INSERT INTO numbers VALUES (7, 1)')
  db.close()
})

test.each(['a new store', 'an older store'])(
  'ten processes that open %s at the same moment all succeed',
  async (kind) => {
    const path = join(tempFolder(), 'numbers.db')
    if (kind === 'an older store') openDatabase({ path, schema: counterSchema }).close()
    const program = `
    import { openDatabase } from '${new URL('../../src/sqlite/open.ts', import.meta.url)}'
    openDatabase({ path: process.argv[1], schema: ${JSON.stringify(newer)} }).exec('INSERT INTO numbers VALUES (1, 1)')`
    const children = Array.from({ length: 10 }, () =>
      spawn(process.execPath, ['--input-type=module', '--eval', program, path], { stdio: 'inherit' }),
    )
    const exits = await Promise.all(children.map((child) => once(child, 'exit')))
    expect(exits.map(([code]) => code)).toEqual(Array(10).fill(0))
    const db = openDatabase({ path, schema: newer })
    expect(db.prepare('SELECT count(*) AS rows FROM numbers').get()).toEqual({ rows: 10 })
    db.close()
  },
)

test.each(['schema_version', 'user_version', 'application_id'])(
  'a new store that another process makes right before its %s is read is taken for what it is',
  (pragma) => {
    const path = join(tempFolder(), 'numbers.db')
    const db = new DatabaseSync(path)
    db.exec('PRAGMA journal_mode = WAL')
    const prepare = db.prepare.bind(db)
    let isMade = false
    db.prepare = (sql) => {
      if (sql === `PRAGMA ${pragma}` && !isMade) {
        isMade = true
        openDatabase({ path, schema: counterSchema }).close()
      }
      return prepare(sql)
    }
    migrate(db, counterSchema, path)
    expect(isMade).toBe(true)
    expect(prepare('SELECT * FROM numbers').all()).toEqual([])
    db.close()
  },
)

test('an SQLite with the WAL-reset bug is refused', () => {
  expect(() => assertSqliteVersion('3.51.2')).toThrow(
    expect.objectContaining({ code: 'CQRS_SQLITE_TOO_OLD' }),
  )
  assertSqliteVersion('3.51.3')
  assertSqliteVersion('3.100.0')
})

test('a definition of a table in which a byte has changed is refused as damage, not met as a wrong statement', () => {
  const path = join(tempFolder(), 'numbers.db')
  openDatabase({ path, schema: counterSchema }).close()
  const vandal = new DatabaseSync(path)
  vandal.enableDefensive?.(false)
  vandal.exec('PRAGMA writable_schema = ON')
  vandal.exec(`UPDATE sqlite_schema SET sql = replace(sql, 'value', 'valve')`)
  vandal.close()
  expect(() => openDatabase({ path, schema: counterSchema })).toThrow(
    expect.objectContaining({
      code: 'CQRS_STORE_CORRUPT',
      message: expect.stringContaining('the table numbers'),
    }),
  )
})
