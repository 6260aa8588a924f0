import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { GroupCommit, type GroupCommitOptions } from '../../src/sqlite/group-commit.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { counterSchema } from '../support/counter-schema.ts'
import { tempFolder } from '../support/temp-folder.ts'

function counter(overrides: Partial<GroupCommitOptions> = {}) {
  const path = join(tempFolder(), 'numbers.db')
  const commits = new GroupCommit<number, number>({
    module: new URL('../support/counter-thread.ts', import.meta.url),
    workerData: path,
    name: 'counter',
    ...overrides,
  })
  onTestFinished(() => commits.close())
  const rows = () => {
    const db = openDatabase({ path, schema: counterSchema })
    const found = db.prepare('SELECT value, batch FROM numbers ORDER BY rowid').all()
    db.close()
    return found as { value: number; batch: number }[]
  }
  return { commits, rows, path }
}

test('callers of one moment share one transaction, in the order in which they called', async () => {
  const { commits, rows } = counter()
  const answers = await Promise.all([1, 2, 3, 4, 5].map((value) => commits.submit(value)))
  expect(answers).toEqual([2, 4, 6, 8, 10])
  expect(rows()).toEqual([1, 2, 3, 4, 5].map((value) => ({ value, batch: 1 })))
})

test('a request that fails, fails alone', async () => {
  const { commits, rows } = counter()
  const outcomes = await Promise.allSettled([1, -2, 3].map((value) => commits.submit(value)))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(rows().map(({ value }) => value)).toEqual([1, 3])
})

test('requests that meet a locked store fail together, after one wait', async () => {
  const { commits, rows, path } = counter()
  await commits.submit(1)
  const other = openDatabase({ path, schema: counterSchema })
  other.exec('BEGIN IMMEDIATE')
  const outcomes = await Promise.allSettled([2, 3, 4].map((value) => commits.submit(value)))
  other.close()
  expect(outcomes).toEqual(
    [2, 3, 4].map(() => ({
      status: 'rejected',
      reason: expect.objectContaining({ code: 'CQRS_STORE_UNAVAILABLE' }),
    })),
  )
  await commits.submit(5)
  expect(rows()).toEqual([
    { value: 1, batch: 1 },
    { value: 5, batch: 3 },
  ])
})

test('more than the limit of waiting requests are refused at once and none of them is stored', async () => {
  const { commits, rows } = counter({ maxWaiting: 3 })
  const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map((value) => commits.submit(value)))
  expect(outcomes.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
  ])
  expect(outcomes[4]).toMatchObject({ reason: { code: 'CQRS_OVERLOADED' } })
  expect(rows().map(({ value }) => value)).toEqual([1, 2, 3])
})

test('a writer thread that dies fails what it had in hand and is started again by the next request', async () => {
  const { commits, rows } = counter()
  await commits.submit(1)
  await expect(commits.submit(666)).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
  expect(await commits.submit(2)).toBe(4)
  expect(rows().map(({ value }) => value)).toEqual([1, 2])
})

test('closing finishes what was submitted and refuses what comes later', async () => {
  const { commits, rows } = counter()
  const submitted = Promise.all([1, 2, 3].map((value) => commits.submit(value)))
  await commits.close()
  expect(await submitted).toEqual([2, 4, 6])
  await expect(commits.submit(4)).rejects.toMatchObject({ code: 'CQRS_CLOSED' })
  expect(rows()).toHaveLength(3)
})

test('a store that cannot be opened says so to whoever starts it', async () => {
  const { commits } = counter({ workerData: '/dev/null/numbers.db' })
  await expect(commits.start()).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
  await expect(commits.submit(1)).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
})

test('a writer thread that cannot be started fails requests, and not the process', async () => {
  // Refused at once, as when the system gives no further thread.
  const { commits } = counter({ module: new URL('http://localhost/counter-thread.ts') })
  await expect(commits.submit(1)).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
  await expect(commits.start()).rejects.toMatchObject({ code: 'CQRS_STORE_UNAVAILABLE' })
})

test('many requests go in halves, one behind the other, and keep their order and their answers', async () => {
  const { commits, rows } = counter()
  const values = Array.from({ length: 1_000 }, (_, index) => index + 1_000)
  const answers = await Promise.all(values.map((value) => commits.submit(value)))
  expect(answers).toEqual(values.map((value) => value * 2))
  const stored = rows()
  expect(stored.map(({ value }) => value)).toEqual(values)
  expect(new Set(stored.map(({ batch }) => batch)).size).toBe(2)
})

test('a writer thread that dies fails also what waited behind its batch in the thread', async () => {
  const { commits, rows } = counter()
  await commits.submit(1)
  const values = Array.from({ length: 600 }, (_, index) => (index === 0 ? 666 : index + 1))
  const outcomes = await Promise.allSettled(values.map((value) => commits.submit(value)))
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']))
  expect(await commits.submit(2)).toBe(4)
  expect(rows().map(({ value }) => value)).toEqual([1, 2])
})
