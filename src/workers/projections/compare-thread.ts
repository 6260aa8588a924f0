import { parentPort, workerData } from 'node:worker_threads'
import { compareSqliteViews } from '../../projection/sqlite/view-snapshot.ts'

/** Compares the views whose files it was given; see compareSqliteViews. */
const { projection, before, after } = workerData as { projection: string; before: string[]; after: string[] }

parentPort?.postMessage(compareSqliteViews(projection, before, after))
