import { randomUUIDv7 } from 'node:crypto'
import { join } from 'node:path'
import { eventLogSchema } from '../../../src/log/sqlite/schema.ts'
import { openDatabase } from '../../../src/sqlite/open.ts'
import { cpuSince } from '../lab/cpu.ts'
import { serveTask } from '../lab/task.ts'
import { SAMPLE_METADATA, SAMPLE_TYPE, sampleData, sampleStream } from './sample-event.ts'

export interface PlainInput {
  readonly folder: string
  /** Rows in one transaction. */
  readonly group: number
  readonly seconds: number
  readonly streams: number
}

export interface PlainOutput {
  readonly perSecond: number
  /** Of one row with its stream's, in microseconds. */
  readonly cpu: number
}

/**
 * What the disk and SQLite can do at best: the rows that the log stores (the event, and the stream's last
 * version), ready made, inserted in a loop on the main thread. No callers, no checks, no answers.
 */
serveTask(async ({ folder, group, seconds, streams }: PlainInput): Promise<PlainOutput> => {
  const db = openDatabase({ path: join(folder, 'events.db'), schema: eventLogSchema })
  const event = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
  const stream = db.prepare(`INSERT INTO streams (stream, version, position, checksum) VALUES (?, ?, ?, 1)
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position`)
  const metadata = JSON.stringify(SAMPLE_METADATA)
  const rows = Array.from({ length: streams }, (_, index) => ({
    id: randomUUIDv7(),
    stream: sampleStream(index, streams),
    data: JSON.stringify(sampleData(index)),
  }))
  const cpu = cpuSince()
  const began = performance.now()
  const end = began + seconds * 1_000
  let position = 0
  while (performance.now() < end) {
    db.exec('BEGIN IMMEDIATE')
    for (let index = 0; index < group; index += 1) {
      const row = rows[position % rows.length] as (typeof rows)[number]
      position += 1
      const version = Math.ceil(position / rows.length)
      event.run(position, row.id, row.stream, version, 0, SAMPLE_TYPE, 1, row.data, metadata, position, 1)
      stream.run(row.stream, version, position)
    }
    db.exec('COMMIT')
  }
  const taken = (performance.now() - began) / 1_000
  const { main } = cpu()
  db.close()
  return { perSecond: position / taken, cpu: main / position }
})
