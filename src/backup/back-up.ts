import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { dataPaths } from '../config/paths.ts'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'
import type { Position } from '../kernel/position.ts'
import { checkWholeLog } from '../log/sqlite/log-check.ts'
import { isBrokenJson, isSqliteError, toStoreError } from '../sqlite/errors.ts'

/** How often a backup begins anew because generations of views changed meanwhile. */
const ATTEMPTS = 10

/** How long a statement waits for a lock of another process, in milliseconds. */
const BUSY_TIMEOUT_MS = 10_000

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) for a damaged file. */
const DAMAGE = [11, 19, 26]

/** Those that are about the file that is written. */
const CANNOT_WRITE = [8, 10, 13, 14]

/** A store that was copied. */
export interface CopiedStore {
  /** Its path in the data folder. */
  readonly store: string
  /** Size of the copy. */
  readonly bytes: number
}

/** A backup that was taken. */
export interface Backup {
  readonly folder: string
  readonly stores: readonly CopiedStore[]
  /** Views that are damaged and therefore not in the backup. */
  readonly leftOut: readonly { readonly store: string; readonly error: string }[]
  /** The last position of the log in the backup; null if there is no log, as for a queue that is used alone. */
  readonly head: Position | null
  /** Whether every event was checked; not if an older version of this software wrote the log. */
  readonly isChecked: boolean
}

export interface BackupOptions {
  /** The data folder; its system may run. */
  readonly data: string
  /** The folder to write; it must not exist. */
  readonly to: string
  /** Called after each store. */
  onStore?(copied: CopiedStore): void
  /** Called when the copy begins anew because generations of views changed meanwhile. */
  onRestart?(): void
}

/**
 * Copies the stores of a data folder while the system may run. The copy is that of one system at one moment as far as it
 * matters: the log is copied last, so that no view is ahead of it, and generations have not changed meanwhile. Every event
 * of the copied log is checked. The folder appears under its name only when everything is in it and on the disk.
 *
 * Tokens, locks and caches are not copied. A damaged view is left out, because it can be made again from the log.
 *
 * @throws CqrsError CQRS_VALIDATION if the folder exists already or cannot be made; CQRS_STORE_CORRUPT if a store that
 *   cannot be made again is damaged; CQRS_STORE_FULL; CQRS_STORE_UNAVAILABLE
 */
export function backUp({ data, to, onStore, onRestart }: BackupOptions): Backup {
  const folder = resolve(to)
  assertNew(folder, resolve(data))
  const draft = `${folder}.part`
  makeDraft(draft)
  try {
    const backup = copyWhole({ data, draft, onStore, onRestart })
    sync(draft)
    renameSync(draft, folder)
    sync(dirname(folder))
    return { folder, ...backup }
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    throw error
  }
}

type Copying = Pick<BackupOptions, 'data' | 'onStore' | 'onRestart'> & { readonly draft: string }

/** Copies until no generation has changed meanwhile: views belong to what control.db says of them. */
function copyWhole(copying: Copying): Omit<Backup, 'folder'> {
  const { data, draft, onRestart } = copying
  for (let attempt = 1; ; attempt += 1) {
    const before = standing(data)
    let copied: Omit<Backup, 'folder'> | undefined
    let problem: unknown
    try {
      copied = copyOnce(copying)
    } catch (error) {
      problem = error
    }
    const isSame = standing(data) === before
    if (copied && isSame) return copied
    if (isSame) throw problem
    if (attempt === ATTEMPTS) {
      const message = `Generations of views changed during each of ${ATTEMPTS} attempts; take the backup when no rebuild is under way.`
      throw new CqrsError('CQRS_STORE_UNAVAILABLE', message, { cause: problem })
    }
    rmSync(draft, { recursive: true, force: true })
    makeDraft(draft)
    onRestart?.()
  }
}

function copyOnce({ data, draft, onStore }: Copying): Omit<Backup, 'folder'> {
  const paths = dataPaths(data)
  const isView = (path: string) => dirname(path) === paths.views
  const stores: CopiedStore[] = []
  const leftOut: { store: string; error: string }[] = []
  const views = existsSync(paths.views) ? readdirSync(paths.views).filter((file) => file.endsWith('.db')) : []
  const sources = [
    paths.control,
    ...views.map((file) => join(paths.views, file)),
    paths.queue,
    paths.state,
    paths.actions,
    paths.events,
  ]
  mkdirSync(join(draft, relative(data, paths.views)), { mode: 0o700 })
  for (const source of sources.filter((path) => existsSync(path))) {
    const store = relative(data, source)
    try {
      copyStore(source, join(draft, store))
    } catch (error) {
      if (!isView(source) || !isCqrsError(error) || error.code !== 'CQRS_STORE_CORRUPT') throw error
      leftOut.push({ store, error: error.message })
      continue
    }
    const copied = { store, bytes: statSync(join(draft, store)).size }
    stores.push(copied)
    onStore?.(copied)
  }
  sync(join(draft, relative(data, paths.views)))
  return { stores, leftOut, ...checkLog(join(draft, relative(data, paths.events)), paths.events) }
}

/** @throws CqrsError CQRS_STORE_CORRUPT if an event is damaged: this copy must not take the place of an older one */
function checkLog(copy: string, source: string): Pick<Backup, 'head' | 'isChecked'> {
  if (!existsSync(copy)) return { head: null, isChecked: true }
  const { head, damagedAt, isOlder } = checkWholeLog(copy)
  if (damagedAt === undefined) return { head, isChecked: !isOlder }
  throw new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The event at position ${damagedAt} of ${source} is not what was written, so no backup was taken. Keep the backups that you ` +
      'have: restore the log from one of them.',
    { details: { position: damagedAt } },
  )
}

/** Copies a store as it is at one moment; the copy is on the disk. */
function copyStore(source: string, target: string): void {
  const db = open(source)
  try {
    db.prepare('VACUUM INTO ?').run(target)
  } catch (error) {
    rmSync(target, { force: true })
    rmSync(`${target}-journal`, { force: true })
    throw whyNotCopied(error, source, target)
  } finally {
    db.close()
  }
  chmodSync(target, 0o600)
  sync(target)
}

function open(source: string): DatabaseSync {
  try {
    return new DatabaseSync(source, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
  } catch (error) {
    throw toStoreError(error, source)
  }
}

function whyNotCopied(error: unknown, source: string, target: string): unknown {
  if (!isSqliteError(error)) return error
  const code = error.errcode & 0xff
  if (CANNOT_WRITE.includes(code)) return toStoreError(error, target)
  if (!DAMAGE.includes(code) && !isBrokenJson(error)) return toStoreError(error, source)
  return new CqrsError('CQRS_STORE_CORRUPT', `The store ${source} is damaged (${error.message}).`, {
    cause: error,
  })
}

/** Which generations there are, which of them serve, and how often that has changed. */
function standing(data: string): string {
  const path = dataPaths(data).control
  if (!existsSync(path)) return ''
  const control = open(path)
  try {
    const rows = (sql: string) => control.prepare(sql).all()
    return JSON.stringify([
      rows('SELECT projection, generation, state FROM generations ORDER BY 1, 2'),
      rows('SELECT name, swaps FROM projections ORDER BY 1'),
    ])
  } catch (error) {
    throw toStoreError(error, path)
  } finally {
    control.close()
  }
}

/** @throws CqrsError CQRS_VALIDATION if the folder to write exists or is in the data folder, or if there is no store */
function assertNew(folder: string, data: string): void {
  const { events, queue } = dataPaths(data)
  if (!existsSync(events) && !existsSync(queue)) {
    throw new CqrsError(
      'CQRS_VALIDATION',
      `There is no store in ${data}. Name the data folder with CQRS_DATA=<folder>.`,
    )
  }
  if (existsSync(folder)) {
    throw new CqrsError('CQRS_VALIDATION', `${folder} exists already and was not changed. Name a new folder.`)
  }
  if (realPath(folder).startsWith(realpathSync(data) + sep)) {
    throw new CqrsError(
      'CQRS_VALIDATION',
      `${folder} is in the data folder. Name a folder outside of it, best on another disk.`,
    )
  }
}

/** Where a folder that does not exist will be, whatever links lead there. */
function realPath(folder: string): string {
  const above = dirname(folder)
  return existsSync(above) ? join(realpathSync(above), basename(folder)) : folder
}

function makeDraft(draft: string): void {
  try {
    mkdirSync(draft, { mode: 0o700 })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isThere = code === 'EEXIST'
    throw new CqrsError(
      'CQRS_VALIDATION',
      isThere
        ? `${draft} exists: another backup writes it, or one was interrupted. If none runs, remove it.`
        : `The folder ${basename(draft)} cannot be made (${message}). Name a folder in one that exists and that you may write to.`,
      { cause: error },
    )
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
