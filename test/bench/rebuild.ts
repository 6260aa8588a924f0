import { randomUUIDv7 } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { checksum } from '../../src/log/sqlite/row.ts'
import { buildView } from './lab/build-view.ts'
import { inFolder } from './lab/folder.ts'
import { repeated } from './lab/spread.ts'
import { defineScenario, type Row } from './scenario.ts'

const APP = new URL('./rebuild-app.ts', import.meta.url)

export interface RebuildBenchOptions {
  readonly events: number
  readonly documents: number
  /** Documents that the rebuild keeps in memory; the default of the configuration if left out. */
  readonly cachedDocuments?: number
  /** A log that was filled before with the same options, to be used again. */
  readonly log?: string
}

export interface RebuildBenchResult {
  readonly events: number
  readonly documents: number
  /** Events per second of a plain scan in one thread: `SELECT *` by pages, `JSON.parse` of the data. */
  readonly scan: number
  /** The same, with `JSON.parse` of the metadata, too: all that an event is. */
  readonly fullScan: number
  /** Events per second from the start of the build to its last commit, indexes included. */
  readonly rebuild: number
  /** Highest resident memory of the process while it ran, in bytes. */
  readonly memory: number
}

/** Rebuilds a view from a log, next to plain scans of the same log in the same run. */
export async function benchRebuild(options: RebuildBenchOptions): Promise<RebuildBenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-bench-'))
  try {
    const log = options.log ?? join(folder, 'events.db')
    if (!existsSync(log)) await fill(log, options)
    const before = scan(log, false)
    const fullScan = scan(log, true)
    const { rate, memory } = await build(log, join(folder, 'sales.2.db'), options)
    // The machine may have been slower at one end: the scan is taken on both sides.
    const after = scan(log, false)
    const { events, documents } = options
    return { events, documents, scan: (before + after) / 2, fullScan, rebuild: rate, memory }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function fill(path: string, { events, documents }: RebuildBenchOptions): Promise<void> {
  await openSqliteEventLog({ path }).close()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA synchronous = OFF; BEGIN')
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
  const ends = new Map<number, { version: number; position: number }>()
  let random = 12_345
  for (let position = 1; position <= events; position += 1) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff
    const item = random % documents
    const { version, position: previous } = ends.get(item) ?? { version: 0, position: 0 }
    ends.set(item, { version: version + 1, position })
    const row = {
      position,
      id: randomUUIDv7(),
      stream: `item-${item}`,
      version: version + 1,
      previous,
      type: 'sold',
      schema_version: 1,
      data: JSON.stringify({
        sku: `sku-${item}`,
        quantity: 1 + (position % 5),
        priceCents: 1_250,
        customer: `customer-${position % 997}`,
        remark: 'something that a clerk wrote beside the order, as clerks do',
      }),
      metadata: JSON.stringify({ commandId: randomUUIDv7(), correlationId: randomUUIDv7() }),
      recorded_at: 1_700_000_000_000 + position,
    }
    insert.run(...Object.values(row), checksum(row))
  }
  db.exec('COMMIT')
  db.close()
}

/** @returns events per second */
function scan(path: string, metadata: boolean): number {
  const db = new DatabaseSync(path, { readOnly: true })
  const page = db.prepare('SELECT * FROM events WHERE position > ? ORDER BY position LIMIT 1000')
  const started = performance.now()
  let position = 0
  for (;;) {
    const rows = page.all(position)
    for (const row of rows) {
      JSON.parse(String(row.data))
      if (metadata) JSON.parse(String(row.metadata))
    }
    if (rows.length === 0) break
    position = Number(rows.at(-1)?.position)
  }
  db.close()
  return (position / (performance.now() - started)) * 1_000
}

async function build(log: string, view: string, { events, cachedDocuments = 250_000 }: RebuildBenchOptions) {
  let memory = 0
  const watching = setInterval(() => {
    memory = Math.max(memory, process.memoryUsage.rss())
  }, 50)
  const started = performance.now()
  const position = await buildView({ app: APP, projection: 'sales', log, view, cachedDocuments })
  const rate = (events / (performance.now() - started)) * 1_000
  clearInterval(watching)
  if (position !== events || statSync(view).size === 0) throw new Error(`the view ends at ${position}`)
  return { rate, memory }
}

/** A rebuild next to plain scans of the same log, in the same run. */
export const rebuild = defineScenario({
  name: 'rebuild',
  title: 'a view is built anew from the log, next to a plain scan of it',
  durable: 'the view as far as it was written; it can be made again from the log',
  options: {
    events: { help: 'events in the log', default: 1_000_000, tiny: 2_000 },
    documents: { help: 'documents that they make', default: [2_000, 200_000], tiny: [20] },
  },
  async run({ options, rounds, folder, say }) {
    const rows: Row[] = []
    for (const documents of options.documents) {
      const is = await inFolder(folder, (at) =>
        repeated(rounds, async (round) => {
          say(`${options.events} events into ${documents} documents, round ${round + 1}`)
          const log = join(at, 'filled.db')
          const result = await benchRebuild({ events: options.events, documents, log })
          return {
            'rebuild, events/s': Math.round(result.rebuild),
            'scan, events/s': Math.round(result.scan),
            'scan with metadata, events/s': Math.round(result.fullScan),
            'of the scan': result.rebuild / result.scan,
            'resident, MB': Math.round(result.memory / 1e6),
          }
        }),
      )
      rows.push({ of: { documents }, is })
    }
    return rows
  },
})
