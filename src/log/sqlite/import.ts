import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { CqrsError } from '../../kernel/errors.ts'
import type { RecordedEvent } from '../../kernel/event.ts'
import type { Position } from '../../kernel/position.ts'
import { toStoreError } from '../../sqlite/errors.ts'
import { HighWater } from '../../sqlite/high-water.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { readEventFile } from '../interchange.ts'
import { checksum, INSERT_EVENT } from './row.ts'
import { eventLogSchema } from './schema.ts'
import { StreamEndWriter } from './stream-end-writer.ts'

/** What an import did. */
export interface ImportOutcome {
  readonly imported: number
  /** The last position of the log now. */
  readonly head: Position
}

export interface ImportOptions {
  /** The file of the log. Nobody else may append to it meanwhile. */
  readonly path: string
  /** A file of events, in pieces. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** The app that the events must belong to; undefined: any app. */
  readonly app: string | undefined
  /** Called now and then with how many events were read. */
  onProgress?(events: number, of: number): void
}

const PROGRESS_EVERY = 10_000

/**
 * Appends the events of a file to the log unchanged: position, id, version, time. The whole file is one transaction, so
 * it is imported completely or not at all, whatever happens in between. Memory use does not grow with the file; the
 * log's write-ahead log does. Such a file holds no idempotency keys.
 *
 * @throws CqrsError CQRS_IMPORT_INVALID if the file is not whole, belongs to another app, or does not continue the log;
 *   or a store error
 */
export async function importEvents({ path, bytes, app, onProgress }: ImportOptions): Promise<ImportOutcome> {
  const db = openDatabase({ path, schema: eventLogSchema })
  try {
    db.exec('BEGIN IMMEDIATE')
    const appender = new Appender(db)
    let [imported, total, from] = [0, 0, 0]
    for await (const line of readEventFile(bytes)) {
      if ('header' in line) {
        assertContinues(line.header, app, appender.head)
        from = line.header.from
        total = line.header.to - from + 1
        continue
      }
      // The header is line 1.
      appender.append(line.event, line.event.position - from + 2)
      imported += 1
      if (imported % PROGRESS_EVERY === 0) onProgress?.(imported, total)
    }
    db.exec('COMMIT')
    if (imported > 0) new HighWater(path).reached(appender.head)
    return { imported, head: appender.head }
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw toStoreError(error, path)
  } finally {
    db.close()
  }
}

function assertContinues(
  file: { app: string; from: Position },
  app: string | undefined,
  head: Position,
): void {
  if (app !== undefined && file.app !== app) {
    throw refused(
      `The file holds events of the app ${file.app}, but the app here is ${app}. Set CQRS_APP to the module of ${file.app}; ` +
        `if its events really belong to this app, add --other-app.`,
    )
  }
  if (file.from === head + 1) return
  throw refused(
    `The log ends at position ${head}, so a file has to begin at ${head + 1}; this one begins at ${file.from}. ` +
      (file.from <= head
        ? 'If it was imported already there is nothing to do; but if that import did not come to its end, it may not have ' +
          'compared the views with the log: start the system and run "cqrs audit". Otherwise import it into an empty data folder.'
        : `Export what is missing with "cqrs events export --from ${head + 1}".`),
  )
}

/** Appends events to the log, inside an open transaction. */
class Appender {
  readonly #ends: StreamEndWriter
  readonly #insert: StatementSync

  constructor(db: DatabaseSync) {
    this.#ends = new StreamEndWriter(db)
    this.#ends.begin()
    this.#insert = db.prepare(INSERT_EVENT)
  }

  get head(): Position {
    return this.#ends.last()
  }

  append(event: RecordedEvent, line: number): void {
    const { position, id, stream, version, type, schemaVersion, data, metadata, recordedAt } = event
    const last = this.#ends.of(stream)
    if (version !== last.version + 1) {
      throw refused(
        `Line ${line}: the event at position ${position} has version ${version} of the stream ${stream} instead of ${last.version + 1}.`,
      )
    }
    const stored = {
      position,
      id,
      stream,
      version,
      previous: last.position,
      type,
      schema_version: schemaVersion,
      data: JSON.stringify(data ?? null),
      metadata: JSON.stringify(metadata),
      recorded_at: Date.parse(recordedAt),
    }
    this.#insert.run(...Object.values(stored), checksum(stored))
    this.#ends.move(stream, last, { version, position, id })
    this.#ends.store()
  }
}

function refused(why: string): CqrsError {
  return new CqrsError('CQRS_IMPORT_INVALID', `${why} Nothing was imported.`)
}
