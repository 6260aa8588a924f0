import { randomUUIDv7 } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { type AppendRequest, type EventLog, PAGE_BYTES } from '../../src/log/contract.ts'

/** Opens the log of `folder` with the driver under test. */
export type OpenLog = (folder: string) => Promise<EventLog>

/** What every driver of the event log must do. */
export function eventLogContract(newFolder: () => string, open: OpenLog): void {
  async function openLog(folder = newFolder()) {
    const log = await open(folder)
    onTestFinished(() => log.close())
    return log
  }

  test('an empty log has no head, no streams and no pages', async () => {
    const log = await openLog()
    expect(await log.head()).toBe(0)
    expect(await stream(log, 'none')).toEqual([])
    expect(await log.history('none', { limit: 5 })).toEqual([])
    expect(await log.readFrom(0, { limit: 10 })).toEqual({ events: [], through: 0, head: 0 })
  })

  test('an event comes back as it was appended, with its position, version and time', async () => {
    const log = await openLog()
    const data = { text: 'Ω – 雪 \u0000 "quoted"', nested: [{ deep: null }], big: Number.MAX_SAFE_INTEGER }
    const metadata = { commandId: 'c-1', correlationId: 'k-1', actor: 'ada', traceparent: '00-ab-cd-01' }
    const outcome = await log.append({
      stream: 'cart-1',
      expectedVersion: 0,
      events: [{ type: 'opened', schemaVersion: 3, data }],
      metadata,
    })
    expect(outcome).toEqual({ kind: 'appended', position: 1, version: 1 })
    const [event] = await stream(log, 'cart-1')
    expect(event).toEqual({
      position: 1,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/),
      stream: 'cart-1',
      version: 1,
      type: 'opened',
      schemaVersion: 3,
      data,
      metadata,
      recordedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
  })

  test('keys that differ in an escaped character alone come back as they are, whichever was read before', async () => {
    const log = await openLog()
    const tallies = ['C:\\', 'C:"', 'C:\n'].map((key) => ({ at: 0, [key]: 1 }))
    for (const data of tallies) {
      const events = [{ type: 'counted', schemaVersion: 1, data }]
      await log.append({ ...append('t', tallies.indexOf(data), []), events })
    }
    const { events } = await log.readFrom(0, { limit: 10 })
    for (const read of [events, await stream(log, 't')]) {
      expect(read.map(({ data }) => JSON.stringify(data))).toEqual(
        tallies.map((data) => JSON.stringify(data)),
      )
    }
  })

  test('positions are contiguous over all streams, versions within each', async () => {
    const log = await openLog()
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        log.append(append(`s-${index}`, 0, index % 3 === 0 ? ['a', 'b'] : ['a'])),
      ),
    )
    expect(outcomes.every(({ kind }) => kind === 'appended')).toBe(true)
    const { events, through, head } = await log.readFrom(0, { limit: 1_000 })
    expect(events.map(({ position }) => position)).toEqual(
      Array.from({ length: 80 }, (_, index) => index + 1),
    )
    expect([through, head, await log.head()]).toEqual([80, 80, 80])
    expect((await stream(log, 's-0')).map(({ version, type }) => `${version}${type}`)).toEqual(['1a', '2b'])
  })

  test('of many who expect the same version exactly one appends; the others learn the actual version', async () => {
    const log = await openLog()
    await log.append(append('s', 0, ['first']))
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => log.append(append('s', 1, ['next']))))
    expect(outcomes.filter(({ kind }) => kind === 'appended')).toEqual([
      { kind: 'appended', position: 2, version: 2 },
    ])
    expect(outcomes.filter(({ kind }) => kind === 'version-conflict')).toHaveLength(19)
    expect(outcomes).toContainEqual({ kind: 'version-conflict', actualVersion: 2 })
    expect(await log.head()).toBe(2)
  })

  test.each([1, 7, Number.MAX_SAFE_INTEGER])(
    'a wrong expected version (%i) of a new stream stores nothing',
    async (wrong) => {
      const log = await openLog()
      expect(await log.append(append('s', wrong, ['a']))).toEqual({
        kind: 'version-conflict',
        actualVersion: 0,
      })
      expect(await log.head()).toBe(0)
    },
  )

  test('an append that rests on an event is refused if another one has its place, though the version fits', async () => {
    const log = await openLog()
    await log.append(append('cart', 0, ['opened']))
    const [mine, other] = [randomUUIDv7(), randomUUIDv7()]
    const resting = { ...append('cart', 2, ['closed']), expectedLast: mine }
    const first = append('cart', 1, ['filled'])
    const own = first.events.map((event) => ({ ...event, id: other }))
    expect(await log.append({ ...first, events: own })).toMatchObject({ kind: 'appended', version: 2 })
    expect(await log.append(resting)).toEqual({ kind: 'version-conflict', actualVersion: 2 })
    expect(await log.append({ ...resting, expectedLast: other })).toMatchObject({
      kind: 'appended',
      version: 3,
    })
    expect((await stream(log, 'cart'))[1]?.id).toBe(other)
  })

  test('an idempotency key appends once, and answers every time with the original', async () => {
    const log = await openLog()
    const request = { ...append('s', 0, ['a', 'b']), idempotency: { key: 'k', fingerprint: 'f' } }
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => log.append(request)))
    const original = { key: 'k', fingerprint: 'f', stream: 's', position: 2, version: 2, events: 2 }
    expect(outcomes[0]).toEqual({ kind: 'appended', position: 2, version: 2 })
    for (const later of outcomes.slice(1)) expect(later).toEqual({ kind: 'duplicate-command', original })
    // A key belongs to the whole log, whatever it is used for.
    const other = { ...append('t', 0, ['x']), idempotency: { key: 'k', fingerprint: 'g' } }
    expect(await log.append(other)).toEqual({ kind: 'duplicate-command', original })
    expect(await log.findCommand('k')).toEqual(original)
    expect(await log.findCommand('other')).toBeUndefined()
    expect(await log.head()).toBe(2)
  })

  test('a key whose append met a version conflict is still free', async () => {
    const log = await openLog()
    const idempotency = { key: 'k', fingerprint: 'f' }
    expect(await log.append({ ...append('s', 4, ['a']), idempotency })).toMatchObject({
      kind: 'version-conflict',
    })
    expect(await log.findCommand('k')).toBeUndefined()
    expect(await log.append({ ...append('s', 0, ['a']), idempotency })).toMatchObject({ kind: 'appended' })
  })

  test('a key can be recorded without events, and points at the stream as it was', async () => {
    const log = await openLog()
    await log.append(append('other', 0, ['a']))
    await log.append(append('s', 0, ['a']))
    await log.append(append('other', 1, ['b']))
    const outcome = await log.append({ ...append('s', 1, []), idempotency: { key: 'k', fingerprint: 'f' } })
    expect(outcome).toEqual({ kind: 'appended', position: 2, version: 1 })
    expect(await log.findCommand('k')).toMatchObject({ position: 2, version: 1, events: 0 })
    expect(await log.head()).toBe(3)
  })

  test('the log is paged in order, and a filter by type still tells how far it looked', async () => {
    const log = await openLog()
    for (const [version, type] of ['a', 'b', 'a', 'c', 'b'].entries())
      await log.append(append('s', version, [type]))
    const page = await log.readFrom(1, { limit: 3, types: new Set(['b']) })
    expect(page.events.map(({ position }) => position)).toEqual([2])
    expect(page).toMatchObject({ through: 4, head: 5 })
    expect(await log.readFrom(4, { limit: 3, types: new Set(['a']) })).toEqual({
      events: [],
      through: 5,
      head: 5,
    })
    expect(await log.readFrom(5, { limit: 3 })).toEqual({ events: [], through: 5, head: 5 })
    expect(await log.readFrom(9, { limit: 3 })).toEqual({ events: [], through: 9, head: 5 })
  })

  test('a page ends with the event that passes its bytes, and has one event at least', async () => {
    const log = await openLog()
    const sizes = [10, 20, 900, 10, 5_000, 10, 300, 300, 300, 300, 10]
    for (const [index, size] of sizes.entries()) await log.append(large(`s-${index}`, size))
    const walk = async (bytes: number, limit = 100) => {
      const ends: number[] = []
      const positions: number[] = []
      for (let after = 0; after < sizes.length; ) {
        const { events, through, head } = await log.readFrom(after, { limit, bytes })
        expect(head).toBe(sizes.length)
        positions.push(...events.map(({ position }) => position))
        ends.push(through)
        after = through
      }
      expect(positions, 'each event once, in order').toEqual(sizes.map((_, index) => index + 1))
      return ends
    }
    expect(await walk(1_000)).toEqual([5, 10, 11])
    expect(await walk(1_000, 4)).toEqual([4, 5, 9, 11])
    expect(await walk(1)).toEqual(sizes.map((_, index) => index + 1))
    expect(await walk(100_000)).toEqual([11])
    // What is not wanted is looked at all the same.
    const none = { types: new Set(['other']), limit: 100, bytes: 1_000 }
    expect(await log.readFrom(0, none)).toEqual({ events: [], through: 5, head: 11 })
  })

  test('a stream of large events is read in batches that stay small', async () => {
    const log = await openLog()
    const text = 'x'.repeat(3_000_000)
    const events = Array.from({ length: 8 }, (_, index) => ({
      type: 'large',
      schemaVersion: 1,
      data: { index, text: index === 3 ? 'small' : text },
    }))
    await log.append({ ...append('s', 0, []), events })
    const batches = await Array.fromAsync(log.readStream('s'))
    expect(batches.map((batch) => batch.map(({ version }) => version))).toEqual([
      [1, 2, 3],
      [4, 5, 6, 7],
      [8],
    ])
    expect(await log.readFrom(0, { limit: 100 })).toMatchObject({ through: 3, head: 8 })
  })

  test('a filter by partition gives each event to one of them', async () => {
    const log = await openLog()
    for (let item = 0; item < 20; item += 1) await log.append(append(`item-${item}`, 0, ['a']))
    const found = [0, 1, 2].map(async (index) => {
      const page = await log.readFrom(0, { limit: 100, partition: { index, count: 3 } })
      expect(page).toMatchObject({ through: 20, head: 20 })
      return page.events.map(({ position }) => position)
    })
    const parts = await Promise.all(found)
    expect(parts.flat().sort((left, right) => left - right)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    for (const part of parts) expect(part.length).toBeGreaterThan(0)
  })

  test('a stream of several batches is read from any version', async () => {
    const log = await openLog()
    const types = Array.from({ length: 1_203 }, (_, index) => `t${index + 1}`)
    await log.append(append('long', 0, types.slice(0, 700)))
    await log.append(append('short', 0, ['x']))
    await log.append(append('long', 700, types.slice(700)))
    expect((await stream(log, 'long')).map(({ type }) => type)).toEqual(types)
    expect((await stream(log, 'long', 1_200)).map(({ version }) => version)).toEqual([1_201, 1_202, 1_203])
    expect(await stream(log, 'long', 1_203)).toEqual([])
    expect(await stream(log, 'long', 9_999)).toEqual([])
  })

  test('the history of a stream comes newest first, page by page', async () => {
    const log = await openLog()
    await log.append(append('s', 0, ['a', 'b', 'c', 'd', 'e']))
    await log.append(append('other', 0, ['x']))
    const types = async (options: { limit: number; before?: number }) =>
      (await log.history('s', options)).map(({ type }) => type)
    expect(await types({ limit: 2 })).toEqual(['e', 'd'])
    expect(await types({ limit: 2, before: 4 })).toEqual(['c', 'b'])
    expect(await types({ limit: 9, before: 2 })).toEqual(['a'])
    expect(await types({ limit: 9, before: 1 })).toEqual([])
  })

  test('a page of the history of large events stays small, and the next one goes on behind it', async () => {
    const log = await openLog()
    for (let version = 0; version < 6; version += 1)
      await log.append({ ...large('s', 3_000_000), expectedVersion: version })
    const versions = async (before?: number) =>
      (await log.history('s', { limit: 100, ...(before && { before }) })).map(({ version }) => version)
    expect(await versions()).toEqual([6, 5, 4])
    expect(await versions(4)).toEqual([3, 2, 1])
    await log.append({ ...large('s', PAGE_BYTES + 1), expectedVersion: 6 })
    expect(await versions()).toEqual([7])
  })

  test('what was acknowledged is there after the log was closed and opened again', async () => {
    const folder = newFolder()
    const first = await openLog(folder)
    await first.append({ ...append('s', 0, ['a']), idempotency: { key: 'k', fingerprint: 'f' } })
    await first.close()
    const second = await openLog(folder)
    expect((await stream(second, 's')).map(({ type }) => type)).toEqual(['a'])
    expect(await second.findCommand('k')).toMatchObject({ position: 1 })
    expect(await second.append(append('s', 1, ['b']))).toEqual({ kind: 'appended', position: 2, version: 2 })
  })

  test('two that write one log keep one order between them', async () => {
    const folder = newFolder()
    const logs = [await openLog(folder), await openLog(folder)]
    const appended = Promise.all(
      Array.from({ length: 200 }, (_, index) => logs[index % 2]?.append(append(`s-${index}`, 0, ['a']))),
    )
    const reader = await openLog(folder)
    const seen: number[] = []
    while (seen.length < 200) {
      const { events, through, head } = await reader.readFrom(seen.length, { limit: 1_000 })
      seen.push(...events.map(({ position }) => position))
      expect([through, head], 'nothing is passed over that comes later').toEqual([seen.length, seen.length])
      await new Promise(setImmediate)
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index + 1))
    await appended
    for (const log of logs) {
      const { events } = await log.readFrom(0, { limit: 1_000 })
      expect(events.map(({ position }) => position)).toEqual(
        Array.from({ length: 200 }, (_, index) => index + 1),
      )
    }
  })
}

function append(stream: string, expectedVersion: number, types: string[]): AppendRequest {
  return {
    stream,
    expectedVersion,
    events: types.map((type) => ({ type, schemaVersion: 1, data: { type } })),
    metadata: { commandId: 'c', correlationId: 'c' },
  }
}

/** An event whose data has about so many bytes. */
function large(stream: string, bytes: number): AppendRequest {
  const data = { text: 'x'.repeat(bytes) }
  return { ...append(stream, 0, []), events: [{ type: 'large', schemaVersion: 1, data }] }
}

async function stream(log: EventLog, name: string, after?: number): Promise<RecordedEvent[]> {
  return (await Array.fromAsync(log.readStream(name, after === undefined ? {} : { after }))).flat()
}
