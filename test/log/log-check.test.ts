import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { firstOf, type LogPage, PAGE_BYTES } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { openSqliteLogCheck } from '../../src/log/sqlite/log-check.ts'
import { unpackEvents } from '../../src/log/sqlite/packed-events.ts'
import { EMPTY_DIGEST, extendDigest } from '../../src/projection/digest.ts'
import { checkAhead } from '../../src/workers/builds/checked-log.ts'
import { tempFolder } from '../support/temp-folder.ts'

interface Written {
  readonly stream: string
  readonly type: string
  readonly data: unknown
}

type Order = Parameters<typeof checkAhead>[1]

const ALL = { index: 0, count: 1 }

/** On a busy machine it can take seconds until the thread has started. */
const PATIENCE_MS = 15_000

async function logOf(written: readonly Written[]) {
  const path = join(tempFolder(), 'events.db')
  const log = openSqliteEventLog({ path, now: () => 1_700_000_000_000 + written.length })
  onTestFinished(() => log.close())
  const versions = new Map<string, number>()
  await Promise.all(
    written.map(({ stream, type, data }) => {
      const expectedVersion = versions.get(stream) ?? 0
      versions.set(stream, expectedVersion + 1)
      const metadata = { commandId: 'ć', correlationId: `"${stream}"` }
      return log.append({ stream, expectedVersion, events: [{ type, schemaVersion: 3, data }], metadata })
    }),
  )
  return { path, log }
}

const counted = (count: number): Written[] =>
  Array.from({ length: count }, (_, index) => ({
    stream: `s-${index % 7}`,
    type: 'counted',
    data: { index },
  }))

/** Changes a byte of an event without changing what SQLite thinks of the file. */
function damage(path: string, position: number): void {
  const db = new DatabaseSync(path)
  db.prepare(`UPDATE events SET data = replace(data, '{', '{ ') WHERE position = ?`).run(position)
  db.close()
}

/** How a build reads a log: from a thread that is ahead, and where that has nothing, at the positions `asked`, from the log. */
function buildReader({ path, log }: Awaited<ReturnType<typeof logOf>>, given: Partial<Order> = {}) {
  const asked: number[] = []
  const readFrom: typeof log.readFrom = (after, options) => {
    asked.push(after)
    return log.readFrom(after, options)
  }
  const order = {
    log: path,
    types: ['counted'],
    partition: ALL,
    batchSize: 100,
    batchBytes: PAGE_BYTES,
    position: 0,
    digest: EMPTY_DIGEST,
    ...given,
  }
  const checked = checkAhead({ ...log, head: () => log.head(), readFrom }, order, PATIENCE_MS)
  onTestFinished(() => checked.close())
  /** Reads whole pages up to a position. */
  const readUpTo = async (last: number) => {
    const pages: LogPage[] = []
    for (let after = order.position; after < last; after = pages.at(-1)?.through ?? last)
      pages.push(await checked.readFrom(after, { limit: order.batchSize }))
    return pages
  }
  return { checked, asked, readUpTo }
}

const hundreds = (count: number) => Array.from({ length: count }, (_, index) => 100 * (index + 1))

test('what is read ahead is what the log gives, for whatever it may hold', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a\nb', '\n', 'a\u001eb', '💶', ',', '"', ''),
  )
  const event = fc.record({
    stream: text,
    type: fc.constantFrom('one', 'two', 'öther'),
    data: fc.jsonValue(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 12 }),
      fc.subarray(['one', 'two', 'öther'], { minLength: 1 }),
      fc.constantFrom(ALL, { index: 0, count: 2 }, { index: 1, count: 2 }),
      async (written, names, partition) => {
        const { path, log } = await logOf(written)
        const types = new Set(names)
        const check = openSqliteLogCheck(path, { types, partition })
        const page = check.next(1, 10)
        check.close()
        const { events, through } = await log.readFrom(1, { limit: 10, types, partition })
        await log.close()
        if (!page) {
          expect(written.some(({ stream }) => stream.includes('\n'))).toBe(true)
          return
        }
        expect(page.through).toBe(through)
        expect(unpackEvents(page.events)).toEqual(events)
        expect(page.ids).toEqual(events.map(({ position, id }) => ({ position, id })))
      },
    ),
    { numRuns: 25 },
  )
})

test('a build that took only the beginning of a run reads its rest from the log, then goes on with what is read ahead', async () => {
  const { checked, asked, readUpTo } = buildReader(await logOf(counted(500)))
  const first = await checked.readFrom(0, { limit: 100 })
  const cut = firstOf(first, 30)
  expect(cut.through).toBe(30)
  const rest = await checked.readFrom(cut.through, { limit: 100 })
  expect([rest.events[0]?.position, rest.through]).toEqual([31, 100])
  expect(checked.digestAfter(EMPTY_DIGEST, cut)).toBe(extendDigest(EMPTY_DIGEST, cut.events))
  const pages = await readUpTo(500)
  expect(pages.slice(1).map(({ through }) => through)).toEqual([200, 300, 400, 500])
  expect(asked.filter((after) => after > 0)).toEqual([30])
})

test('nobody vouches for a run with a damaged or a missing event', async () => {
  const { path } = await logOf(counted(30))
  damage(path, 15)
  const db = new DatabaseSync(path)
  db.exec('DELETE FROM events WHERE position = 25')
  db.close()
  const check = openSqliteLogCheck(path, { types: new Set(['unwanted']), partition: ALL })
  const runs = [0, 10, 20].map((after) => check.next(after, 10))
  check.close()
  expect(runs.map((run) => run?.through)).toEqual([10, undefined, undefined])
})

test('what is read ahead is bounded in bytes as well, and the build takes what it is given', async () => {
  const written = [10, 4_000, 10, 10, 9_000, 10].map((size, index) => ({
    stream: `s-${index}`,
    type: 'counted',
    data: { index, text: 'x'.repeat(size) },
  }))
  const world = await logOf(written)
  const check = openSqliteLogCheck(world.path, { types: new Set(['counted']), partition: ALL })
  const runs = [0, 2, 5].map((after) => check.next(after, 100, 4_000))
  check.close()
  expect(runs.map((run) => run?.through)).toEqual([2, 5, 6])
  expect(runs.flatMap((run) => run?.ids ?? []).map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6])

  const { readUpTo, asked } = buildReader(world, { batchBytes: 4_000 })
  const pages = await readUpTo(6)
  expect(pages.map(({ through }) => through)).toEqual([2, 5, 6])
  expect(pages.flatMap(({ events }) => events)).toEqual((await world.log.readFrom(0, { limit: 100 })).events)
  expect(asked).toEqual([])
})

test('a build reads every event from the thread that is ahead, and the digest with them', async () => {
  const world = await logOf(counted(3_000))
  const { checked, asked } = buildReader(world, { position: 500, digest: 'd' })
  let [position, digest] = [500, 'd']
  for (let page = await checked.readFrom(position, { limit: 100 }); page.events.length > 0; ) {
    const expected = await world.log.readFrom(position, { limit: 100 })
    expect(page).toEqual(expected)
    const extended = checked.digestAfter(digest, page)
    expect(extended).toBe(extendDigest(digest, page.events))
    ;[position, digest] = [page.through, extended]
    page = await checked.readFrom(position, { limit: 100 })
  }
  expect(position).toBe(3_000)
  // Only at the head, where the thread has ended.
  expect(asked).toEqual([3_000])
})

test('the thread that is ahead leaves a damaged event to the build, which is told of it', async () => {
  const world = await logOf(counted(1_000))
  damage(world.path, 555)
  const { checked, readUpTo } = buildReader(world)
  expect((await readUpTo(500)).map(({ through }) => through)).toEqual(hundreds(5))
  await expect(checked.readFrom(500, { limit: 100 })).rejects.toMatchObject({
    code: 'CQRS_STORE_CORRUPT',
    details: { position: 555 },
  })
})

test('events that are larger than what the thread may be ahead go through it all the same, one run at a time', async () => {
  const text = 'x'.repeat(4_000_000)
  const written = Array.from({ length: 10 }, (_, index) => ({
    stream: `s-${index % 2}`,
    type: 'counted',
    data: { index, text: index === 5 ? text.repeat(5) : text },
  }))
  const { readUpTo, asked } = buildReader(await logOf(written), { batchSize: 2 })
  const events = (await readUpTo(10)).flatMap((page) => page.events)
  expect(events.map(({ data }) => (data as { index: number }).index)).toEqual(
    written.map(({ data }) => data.index),
  )
  expect(asked).toEqual([])
})

test('a build goes on by itself, and ends, while the thread that should be ahead hangs', async () => {
  const world = await logOf(counted(300))
  const path = join(tempFolder(), 'locked.db')
  const lock = new DatabaseSync(path)
  onTestFinished(() => lock.close())
  lock.exec('BEGIN EXCLUSIVE')
  const { checked, readUpTo } = buildReader(world, { log: path })
  const began = performance.now()
  expect((await readUpTo(300)).map(({ through }) => through)).toEqual(hundreds(3))
  expect(performance.now() - began, 'it waited for the thread, once').toBeGreaterThan(1_000)
  await checked.close()
})
