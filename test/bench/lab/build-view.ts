import { pino } from 'pino'
import { startBuildThread } from '../../../src/workers/builds/start-build.ts'

export interface ViewToBuild {
  /** The module of the app. */
  readonly app: URL
  readonly projection: string
  /** The files of the log and of the view. */
  readonly log: string
  readonly view: string
  /** Documents that are kept in memory. */
  readonly cachedDocuments: number
}

/** Builds a view from a log as a rebuild does. @returns the position at which it ends */
export async function buildView({
  app,
  projection,
  log,
  view,
  cachedDocuments,
}: ViewToBuild): Promise<number> {
  const done = Promise.withResolvers<number>()
  startBuildThread({
    order: {
      app: app.pathname,
      projection,
      partition: { index: 0, count: 1 },
      log,
      view,
      until: 'head',
      owing: [],
      takesOver: true,
      policy: { maxAttempts: 5, baseMs: 200, capMs: 60_000 },
      batchSize: 1_000,
      batchBytes: 8_388_608,
      cachedDocuments,
      cachedBytes: 268_435_456,
      heldBackMs: 10_000,
    },
    events: {
      onProgress: ({ error }) => error && done.reject(new Error(error)),
      onDone: done.resolve,
      onDamage: ({ reason }) => done.reject(new Error(reason)),
    },
    hangMs: 60_000,
    isLiveBehind: () => false,
    log: pino({ level: 'silent' }),
  })
  return done.promise
}
