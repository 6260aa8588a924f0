import { realpathSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, sep } from 'node:path'

/** A file system that stores should not be on. */
export interface UnfitFileSystem {
  /** Its name, e.g. `tmpfs`. */
  readonly name: string
  /** What is wrong with it, and what to do. */
  readonly advice: string
}

const GONE = 'Everything in it is gone when the machine stops. Keep the data folder on a disk (CQRS_DATA).'

const CONTAINER =
  'It is part of a container, and is gone when the container is removed. Mount a volume, and keep the data folder there (CQRS_DATA).'

const REMOTE =
  'SQLite relies on locks and on shared memory, which file systems over a network or shared with a host may not have: stores can ' +
  'then be damaged. Keep the data folder on a disk of this machine (CQRS_DATA).'

/** Numbers of Linux (statfs(2), linux/magic.h), with what may be wrong with each file system. */
const UNFIT: ReadonlyMap<number, UnfitFileSystem> = new Map([
  [0x01021994, { name: 'tmpfs', advice: GONE }],
  [0x858458f6, { name: 'ramfs', advice: GONE }],
  [0x794c7630, { name: 'overlayfs', advice: CONTAINER }],
  [0x6969, { name: 'NFS', advice: REMOTE }],
  [0x517b, { name: 'SMB', advice: REMOTE }],
  [0xff534d42, { name: 'CIFS', advice: REMOTE }],
  [0xfe534d42, { name: 'SMB2', advice: REMOTE }],
  [0x01021997, { name: '9p', advice: REMOTE }],
  [0x65735546, { name: 'FUSE', advice: REMOTE }],
])

/**
 * Finds out whether the stores in a folder are on a file system that cannot keep them safe. A folder inside the one for
 * temporary files may vanish: whoever puts a data folder there knows that.
 *
 * @param folder may be missing; then the nearest one above it counts
 * @param typeOf gives the number of a folder's file system; by default that of Linux, and nothing elsewhere
 * @returns undefined if nothing is known to be wrong
 */
export function unfitFileSystem(folder: string, typeOf = linuxType): UnfitFileSystem | undefined {
  const type = typeOf(folder)
  const unfit = type === undefined ? undefined : UNFIT.get(type)
  return unfit?.advice !== REMOTE && isTemporary(folder) ? undefined : unfit
}

function linuxType(folder: string): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return statfsSync(nearest(folder)).type
  } catch {
    return undefined
  }
}

function isTemporary(folder: string): boolean {
  return nearest(folder).startsWith(nearest(tmpdir()) + sep) || nearest(folder) === nearest(tmpdir())
}

/** The real path of a folder, or of the nearest one above it that exists. */
function nearest(folder: string): string {
  try {
    return realpathSync(folder)
  } catch (error) {
    const above = dirname(folder)
    if (above === folder) throw error
    return nearest(above)
  }
}
