import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { waitForLock } from '../../src/sqlite/wait-for-lock.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('a lock that another connection has is waited for, but not without end', () => {
  const path = join(tempFolder(), 'locked.db')
  const open = () => {
    const db = new DatabaseSync(path, { timeout: 0 })
    onTestFinished(() => db.close())
    return db
  }
  const [holder, other] = [open(), open()]
  holder.exec('BEGIN IMMEDIATE')
  let tries = 0
  const begin = () => {
    tries += 1
    if (tries === 3) holder.exec('COMMIT')
    other.exec('BEGIN IMMEDIATE')
    return 'begun'
  }
  expect(waitForLock(begin)).toBe('begun')
  expect(tries).toBe(3)
  expect(() => waitForLock(() => holder.exec('BEGIN IMMEDIATE'))).toThrow('database is locked')
})

test('any other error ends the wait at once', () => {
  let tries = 0
  const attempt = () => {
    tries += 1
    throw new Error('no such table')
  }
  expect(() => waitForLock(attempt)).toThrow('no such table')
  expect(tries).toBe(1)
})
