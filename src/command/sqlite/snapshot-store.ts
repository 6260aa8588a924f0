import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Logger } from 'pino'
import { GroupCommit } from '../../sqlite/group-commit.ts'
import { openDatabase } from '../../sqlite/open.ts'
import { rowChecksum } from '../../sqlite/row-checksum.ts'
import type { SnapshotStore, StoredSnapshot } from '../snapshots.ts'
import { snapshotSchema } from './snapshot-schema.ts'
import type { Forgotten, SnapshotRow } from './snapshot-writer.ts'

/** How many snapshots may wait for the disk. More are dropped; later events bring new ones. */
const MAX_WAITING = 1_000

/**
 * Snapshots in an SQLite file. A thread of their own, started with the first snapshot, writes them without syncing. A
 * file that cannot be opened or read is left alone and not used: the log has everything.
 *
 * @param path e.g. `data/snapshots.db`
 */
export function openSqliteSnapshots(path: string, log: Logger): SnapshotStore {
  return new SqliteSnapshots(path, log)
}

class SqliteSnapshots implements SnapshotStore {
  readonly #path: string
  readonly #log: Logger
  readonly #writer: GroupCommit<SnapshotRow | Forgotten, null>
  #db: DatabaseSync | undefined
  #find: StatementSync | undefined

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
    this.#writer = new GroupCommit({
      module: new URL('./snapshot-writer.ts', import.meta.url),
      workerData: { path },
      name: 'snapshots',
      maxWaiting: MAX_WAITING,
    })
    this.#guard(() => {
      this.#db = openDatabase({ path, schema: snapshotSchema, durability: 'normal', readOnly: true })
      this.#find = this.#db.prepare('SELECT * FROM snapshots WHERE stream = ?')
    })
  }

  async find(stream: string): Promise<StoredSnapshot | undefined> {
    return this.#guard(() => {
      const row = this.#find?.get(stream)
      if (!row) return undefined
      const { fingerprint, version, position, event_id: eventId, state, checksum } = row
      if (rowChecksum(stream, fingerprint, version, position, eventId, state) !== checksum) return undefined
      return { stream, fingerprint, version, position, eventId, state } as StoredSnapshot
    })
  }

  save({ stream, fingerprint, version, position, eventId, state }: StoredSnapshot): void {
    this.#submit([stream, fingerprint, version, position, eventId, state])
  }

  forget(fingerprint: string): void {
    this.#submit({ forget: fingerprint })
  }

  #submit(request: SnapshotRow | Forgotten): void {
    if (!this.#find) return
    this.#writer
      .submit(request)
      .catch((error) => this.#log.debug({ err: error }, 'the snapshots could not be changed'))
  }

  async close(): Promise<void> {
    this.#find = undefined
    await this.#writer.close()
    if (this.#db?.isOpen) this.#db.close()
  }

  #guard<Result>(work: () => Result): Result | undefined {
    try {
      return work()
    } catch (error) {
      this.#find = undefined
      this.#log.warn(
        { err: error },
        `the snapshots in ${this.#path} cannot be used; streams are folded from their first event. ` +
          'The file is only a cache: stop the system and remove it; it is created again at the next start',
      )
      return undefined
    }
  }
}
