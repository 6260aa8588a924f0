import { existsSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { takeCheckpointsAside } from '../../src/sqlite/checkpoints.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { storeFiles } from '../../src/sqlite/store-files.ts'
import { counterSchema } from '../support/counter-schema.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const PAGE = 4_096

/** A store that is written to page by page, and what its write-ahead log holds. */
function pages({ checkpointPages }: { checkpointPages: number }) {
  const path = join(tempFolder(), 'numbers.db')
  const db = openDatabase({ path, schema: counterSchema, durability: 'normal', checkpointPages })
  onTestFinished(() => {
    if (db.isOpen) db.close()
  })
  db.exec('CREATE TABLE filler (bytes BLOB)')
  const insert = db.prepare('INSERT INTO filler VALUES (zeroblob(4000))')
  const state = db.prepare('PRAGMA wal_checkpoint(NOOP)')
  return {
    db,
    path,
    write(count: number) {
      db.exec('BEGIN')
      for (let index = 0; index < count; index += 1) insert.run()
      db.exec('COMMIT')
    },
    state: () => state.get() as { log: number; checkpointed: number },
  }
}

/** Paths of the files that this process has open and whose names begin so. */
function openFiles(path: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(path) ? [target] : []
    } catch {
      return []
    }
  })
}

test('what a writer has committed is carried into the file by another thread', async () => {
  const store = pages({ checkpointPages: 0 })
  const checkpoints = takeCheckpointsAside(store.path, { afterMs: 0 })
  onTestFinished(() => checkpoints.stop())
  store.write(1_500)
  await until('the pages are in the file', () => store.state().checkpointed >= 1_500, 30_000)
  expect(statSync(store.path).size).toBeGreaterThanOrEqual(1_500 * PAGE)
})

test('a write-ahead log that is written to without a pause begins anew again and again', async () => {
  const store = pages({ checkpointPages: 2_000 })
  const checkpoints = takeCheckpointsAside(store.path, { afterMs: 0 })
  onTestFinished(() => checkpoints.stop())
  let [begun, before] = [0, 0]
  await until(
    'it has begun anew three times',
    () => {
      store.write(100)
      const { log } = store.state()
      if (log < before) begun += 1
      before = log
      return begun === 3
    },
    30_000,
  )
})

test('once it is stopped nothing holds the file but the store itself, which takes its log away when it closes', async () => {
  const store = pages({ checkpointPages: 0 })
  const before = openFiles(store.path).length
  const checkpoints = takeCheckpointsAside(store.path, { afterMs: 0 })
  store.write(1_500)
  await until('the other thread has the file open', () => openFiles(store.path).length > before, 30_000)
  await checkpoints.stop()
  store.db.close()
  expect(openFiles(store.path)).toEqual([])
  expect(existsSync(`${store.path}-wal`)).toBe(false)
})

test('a file that cannot be opened costs the other stores nothing, and stopping twice is no matter', async () => {
  const missing = takeCheckpointsAside(join(tempFolder(), 'no', 'such', 'folder.db'), { afterMs: 0 })
  const store = pages({ checkpointPages: 0 })
  const checkpoints = takeCheckpointsAside(store.path, { afterMs: 0 })
  store.write(1_500)
  await until('the pages are in the file', () => store.state().checkpointed >= 1_500, 30_000)
  await missing.stop()
  await checkpoints.stop()
  await checkpoints.stop()
})

test('a store that was removed since it was opened is not made again, empty', async () => {
  const removed = pages({ checkpointPages: 0 })
  for (const file of storeFiles(removed.path)) rmSync(file)
  const store = pages({ checkpointPages: 0 })
  const checkpoints = [removed, store].map(({ path }) => takeCheckpointsAside(path, { afterMs: 0 }))
  store.write(1_500)
  await until('the other one was looked at', () => store.state().checkpointed >= 1_500, 30_000)
  expect(existsSync(removed.path)).toBe(false)
  for (const each of checkpoints) await each.stop()
})

test('where no further thread can be started, a store goes on without help', async () => {
  vi.resetModules()
  vi.doMock('node:worker_threads', () => ({
    Worker: class {
      constructor() {
        throw new Error('EAGAIN')
      }
    },
  }))
  onTestFinished(() => void vi.doUnmock('node:worker_threads'))
  const alone = await import('../../src/sqlite/checkpoints.ts')
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const checkpoints = alone.takeCheckpointsAside('of no matter')
  expect(() => vi.runAllTimers()).not.toThrow()
  await checkpoints.stop()
})
