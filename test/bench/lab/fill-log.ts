import { randomUUIDv7 } from 'node:crypto'
import { checksumOfColumns, streamChecksum, throughChecksum } from '../../../src/log/sqlite/row.ts'
import { eventLogSchema } from '../../../src/log/sqlite/schema.ts'
import { openDatabase } from '../../../src/sqlite/open.ts'

/** What a log is filled with. */
export interface LogFill {
  readonly path: string
  readonly events: number
  /** Items, each a stream; its first event adds it, the others sell and restock. */
  readonly items: number
}

/** Rows in one transaction. */
const GROUP = 5_000

const METADATA = JSON.stringify({ commandId: 'bench', correlationId: 'bench' })

/** Fills a new log with events of the inventory, round and round over its items, without waiting for the disk. */
export function fillLog({ path, events, items }: LogFill): void {
  const db = openDatabase({ path, schema: eventLogSchema })
  db.exec('PRAGMA synchronous = OFF')
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
  const move = db.prepare(
    'INSERT OR REPLACE INTO streams (stream, version, position, checksum) VALUES (?, ?, ?, ?)',
  )
  for (let from = 1; from <= events; from += GROUP) {
    db.exec('BEGIN IMMEDIATE')
    for (let position = from; position < from + GROUP && position <= events; position += 1) {
      const item = (position - 1) % items
      const version = Math.ceil(position / items)
      const stream = `inventory-item-${item}`
      const previous = version === 1 ? 0 : position - items
      const { type, data } = eventOf(`${item}`, version)
      const row = [
        position,
        randomUUIDv7(),
        stream,
        version,
        previous,
        type,
        1,
        data,
        METADATA,
        1_700_000_000_000,
      ] as const
      insert.run(...row, checksumOfColumns(...row))
      if (position > events - items)
        move.run(stream, version, position, streamChecksum(stream, { version, position }))
    }
    db.exec('COMMIT')
  }
  db.prepare('UPDATE streams_through SET position = ?, checksum = ?').run(events, throughChecksum(events))
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
}

function eventOf(sku: string, version: number): { type: string; data: string } {
  if (version === 1) {
    const item = {
      sku,
      name: `Item ${sku}`,
      category: 'bench',
      priceCents: 250,
      quantity: 1_000,
      lowStockThreshold: 5,
    }
    return { type: 'inventory-item-added', data: JSON.stringify(item) }
  }
  return version % 2 === 0
    ? { type: 'inventory-item-sold', data: JSON.stringify({ sku, quantity: 1, totalCents: 250 }) }
    : { type: 'inventory-item-restocked', data: JSON.stringify({ sku, quantity: 1 }) }
}
