import { statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** What SQLite keeps of a database: the file itself, its write-ahead log, and the index of that. */
const SUFFIXES = ['', '-wal', '-shm']

/** The files of the store at `path`, whether each of them is there at the moment or not. */
export function storeFiles(path: string): string[] {
  return SUFFIXES.map((suffix) => path + suffix)
}

/** What the store at `path` takes on the disk with all its {@link storeFiles}, in bytes; 0 if there is none. */
export function storeSize(path: string): number {
  const sizes = storeFiles(path).map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Where a store is opened that SQLite is not to make, even if it vanishes at this moment (https://www.sqlite.org/uri.html). */
export function existingStore(path: string): URL {
  const location = pathToFileURL(path)
  location.searchParams.set('mode', 'rw')
  return location
}
