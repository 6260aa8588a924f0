import { join } from 'node:path'
import inventory from '../../../src/inventory/app.ts'
import { openSqliteEventLog } from '../../../src/log/sqlite/event-log.ts'
import { Projector } from '../../../src/projection/projector.ts'
import { openSqliteView } from '../../../src/projection/sqlite/view-store.ts'
import { Turns } from '../../../src/projection/turns.ts'
import { cpuSince } from '../lab/cpu.ts'
import { serveTask } from '../lab/task.ts'

export interface CatchUpInput {
  /** The log to read. */
  readonly events: string
  /** Where the views are made anew. */
  readonly folder: string
  /** Names of the projections that catch up together, as in a projections worker. */
  readonly projections: readonly string[]
  readonly batchSize: number
}

export interface CatchUpOutput {
  /** Events of the log over the time until the last view was at its head. */
  readonly perSecond: number
  /** Of one event in all these views, in microseconds. */
  readonly cpu: number
}

serveTask(async ({ events, folder, projections, batchSize }: CatchUpInput): Promise<CatchUpOutput> => {
  const log = openSqliteEventLog({ path: events })
  const turns = new Turns()
  const cpu = cpuSince()
  const began = performance.now()
  await Promise.all(
    projections.map(async (name) => {
      const projection = inventory.projections.get(name)
      if (!projection) throw new Error(`The inventory has no projection ${name}.`)
      const view = openSqliteView(join(folder, `${name}.db`), projection)
      const projector = new Projector({
        projection,
        catalog: inventory.events,
        log,
        view,
        policy: { maxAttempts: 5, baseMs: 200, capMs: 60_000 },
        turns,
        batchSize,
        documentCache: { documents: 10_000, bytes: 64_000_000 },
        now: Date.now,
        random: Math.random,
      })
      while ((await projector.step()) !== 'at-head');
      await view.close()
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  const head = await log.head()
  const used = cpu().process
  await log.close()
  return { perSecond: head / seconds, cpu: used / head }
})
