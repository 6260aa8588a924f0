import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checksum, INSERT_EVENT } from '../../src/log/sqlite/row.ts'
import { eventLogSchema } from '../../src/log/sqlite/schema.ts'
import { StreamEndWriter } from '../../src/log/sqlite/stream-end-writer.ts'
import { StreamEnds } from '../../src/log/sqlite/stream-ends.ts'
import { openDatabase } from '../../src/sqlite/open.ts'
import { between, oneOf, seededRandom, testSeed } from '../support/random.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** Small figures, so that the table is brought up again and again, and little is remembered. */
const SMALL = { remembered: 4, page: 2, behind: 6, atLeast: 2 }

function writer(path: string) {
  const db = openDatabase({ path, schema: eventLogSchema })
  onTestFinished(() => db.close())
  const ends = new StreamEndWriter(db, SMALL)
  const insert = db.prepare(INSERT_EVENT)
  return {
    ends,
    /** One transaction of the writer, as the commit thread runs it. */
    transaction<Result>(work: () => Result, end: 'COMMIT' | 'ROLLBACK' = 'COMMIT'): Result {
      ends.begin()
      db.exec('BEGIN IMMEDIATE')
      const result = work()
      ends.store()
      db.exec(end)
      if (end === 'COMMIT') ends.committed()
      return result
    },
    /** One event, inside a transaction. */
    append(stream: string) {
      const end = ends.of(stream)
      const row = {
        position: ends.last() + 1,
        id: crypto.randomUUID(),
        stream,
        version: end.version + 1,
        previous: end.position,
        type: 'noted',
        schema_version: 1,
        data: '{}',
        metadata: '{}',
        recorded_at: 0,
      }
      insert.run(...Object.values(row), checksum(row))
      ends.move(stream, end, row)
      return row
    },
  }
}

function reader(path: string) {
  const db = openDatabase({ path, schema: eventLogSchema, readOnly: true })
  onTestFinished(() => db.close())
  const ends = new StreamEnds(db, SMALL)
  const truth = db.prepare(
    'SELECT version, position, id FROM events WHERE stream = ? ORDER BY position DESC LIMIT 1',
  )
  const lacking = db.prepare(`SELECT count(*) AS count FROM
    (SELECT stream, max(position) AS position FROM events
      WHERE position <= (SELECT position FROM streams_through) GROUP BY stream) AS due
    LEFT JOIN streams USING (stream) WHERE streams.position IS NULL OR streams.position < due.position`)
  const through = db.prepare('SELECT position FROM streams_through')
  /** Somebody who waits for what was appended to be read, while others go on. */
  let other = ends.catchingUp()
  return {
    ends,
    of(stream: string) {
      ends.catchUp()
      return ends.of(stream)
    },
    step(): void {
      if (other.next().done) other = ends.catchingUp()
    },
    /** Where a stream ends according to its events. */
    truth: (stream: string) => truth.get(stream) ?? { version: 0, position: 0, id: undefined },
    /** Streams whose ends the table should have and lacks. */
    lacking: () => lacking.get()?.count,
    through: () => Number(through.get()?.position),
  }
}

const STREAMS = Array.from({ length: 12 }, (_, index) => `stream-${index}`)

const SEED = testSeed()
test(`writers and readers agree with the events, whatever was rolled back (seed ${SEED})`, () => {
  const random = seededRandom(SEED)
  for (let round = 0; round < 20; round += 1) {
    const path = join(tempFolder(), 'events.db')
    const writers = [writer(path), writer(path)]
    const readers = [reader(path), reader(path)]
    const [{ truth, lacking, through }] = readers as [ReturnType<typeof reader>]
    for (let step = 0; step < 120; step += 1) {
      if (random() < 0.05) writers[between(random, 0, 1)] = writer(path)
      if (random() < 0.05) readers[1] = reader(path)
      const { ends, transaction, append } = oneOf(random, writers)
      const asked = oneOf(random, STREAMS)
      const end = random() < 0.2 ? 'ROLLBACK' : 'COMMIT'
      const appended = transaction(() => {
        const { version, position, id } = truth(asked)
        expect(ends.of(asked)).toMatchObject({ version, position })
        if (random() < 0.5) expect(ends.lastId(asked)).toBe(id)
        return Array.from({ length: between(random, 0, 4) }, () => append(oneOf(random, STREAMS)))
      }, end)
      if (random() < 0.5) oneOf(random, readers).step()
      if (end === 'COMMIT' && random() < 0.7) {
        for (const row of appended) readers[0]?.ends.appendedElsewhere(row.stream, 1, row)
      }
      const seen = oneOf(random, STREAMS)
      const { version, position } = truth(seen)
      expect(oneOf(random, readers).of(seen)).toMatchObject({ version, position })
      expect(lacking()).toBe(0)
    }
    expect(through()).toBeGreaterThan(0)
  }
})

test('what another process has written since is seen', () => {
  const path = join(tempFolder(), 'events.db')
  const [one, other] = [writer(path), writer(path)]
  one.transaction(() => one.append('s'))
  expect(one.transaction(() => one.ends.of('s').version)).toBe(1)
  other.transaction(() => other.append('s'))
  expect(one.transaction(() => one.ends.of('s').version)).toBe(2)
})

test('what was rolled back is forgotten', () => {
  const { ends, transaction, append } = writer(join(tempFolder(), 'events.db'))
  transaction(() => append('s'))
  transaction(() => append('s'), 'ROLLBACK')
  expect(transaction(() => ends.of('s').version)).toBe(1)
})
