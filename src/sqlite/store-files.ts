import { statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** The files that SQLite keeps for a database: the file itself, its write-ahead log, and the index of that log. */
const SUFFIXES = ['', '-wal', '-shm']

/** The files of the store at `path`, whether or not each of them exists at the moment. */
export function storeFiles(path: string): string[] {
  return SUFFIXES.map((suffix) => path + suffix)
}

/** The size of the store at `path` on the disk with all its {@link storeFiles}, in bytes; 0 if there is none. */
export function storeSize(path: string): number {
  const sizes = storeFiles(path).map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/**
 * A location that opens an existing store. SQLite does not create the file, even if it vanishes at this moment
 * (https://www.sqlite.org/uri.html).
 */
export function existingStore(path: string): URL {
  const location = pathToFileURL(path)
  location.searchParams.set('mode', 'rw')
  return location
}
