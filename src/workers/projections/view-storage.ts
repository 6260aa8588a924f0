import { rm } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { viewPath } from '../../config/paths.ts'
import type { Place, ViewStorage } from '../../generations/place.ts'
import type { ParityReport } from '../../projection/parity.ts'
import { openSqliteView } from '../../projection/sqlite/view-store.ts'
import { storeFiles, storeSize } from '../../sqlite/store-files.ts'

/** The file of a part of a view. */
export function placePath(data: string, { projection, generation, partition }: Place): string {
  return viewPath(data, projection.name, { generation, partition })
}

/** The views as SQLite files in a data folder. */
export function sqliteViewStorage(data: string): ViewStorage {
  return {
    open(place, options) {
      const { projection, version } = place
      const indexes = version === projection.version
      return openSqliteView(placePath(data, place), projection, { version, indexes, ...options })
    },
    file: (place) => placePath(data, place),
    async remove(place) {
      for (const file of storeFiles(placePath(data, place))) await rm(file, { force: true })
    },
  }
}

/** The size of a part on disk, in bytes. */
export function diskUse(data: string, place: Place): number {
  return storeSize(placePath(data, place))
}

/** Compares two generations in a thread of its own. Also rejects if the system cannot start a thread at the moment. */
export async function compareInThread(
  data: string,
  projection: string,
  before: readonly Place[],
  after: readonly Place[],
): Promise<ParityReport> {
  const paths = (places: readonly Place[]) => places.map((place) => placePath(data, place))
  const worker = new Worker(new URL('./compare-thread.ts', import.meta.url), {
    workerData: { projection, before: paths(before), after: paths(after) },
  })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`The comparison ended with code ${code}.`)))
  })
}
