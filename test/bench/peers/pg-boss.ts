import { PgBoss } from 'pg-boss'
import { closedLoop } from '../lab/pace.ts'
import { serveTask } from '../lab/task.ts'
import type { PeerInput, PeerOutput } from '../peer.ts'
import { sampleData } from '../tasks/sample-event.ts'

/** Jobs that one fetch brings, and workers that fetch. */
const BATCH = 100
const WORKERS = 4

serveTask(async ({ at, callers, seconds }: PeerInput): Promise<PeerOutput> => {
  const boss = new PgBoss({ connectionString: at, max: 16 })
  await boss.start()
  const queue = `bench-${process.pid}`
  await boss.createQueue(queue)
  let index = 0
  const added = await closedLoop(callers, { seconds }, async () => {
    index += 1
    await boss.send(queue, sampleData(index))
  })
  const began = performance.now()
  let worked = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  for (let worker = 0; worker < WORKERS; worker += 1) {
    await boss.work(queue, { batchSize: BATCH, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      worked += jobs.length
      if (worked >= added.done) resolve()
    })
  }
  await promise
  const taken = (performance.now() - began) / 1_000
  await boss.stop({ graceful: true })
  return { addedPerSecond: added.done / added.seconds, workedPerSecond: worked / taken, failed: 0 }
})
