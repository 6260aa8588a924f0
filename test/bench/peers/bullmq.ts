import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { closedLoop } from '../lab/pace.ts'
import { serveTask } from '../lab/task.ts'
import type { PeerInput, PeerOutput } from '../peer.ts'
import { sampleData } from '../tasks/sample-event.ts'

/** Jobs that the worker has under way at the same time. */
const CONCURRENCY = 64

serveTask(async ({ at, callers, seconds }: PeerInput): Promise<PeerOutput> => {
  const connection = new Redis(at, { maxRetriesPerRequest: null })
  const [, fsync] = await connection.config('GET', 'appendfsync')
  const [, appendOnly] = await connection.config('GET', 'appendonly')
  const name = `bench-${process.pid}`
  const queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true } })
  let index = 0
  const added = await closedLoop(callers, { seconds }, async () => {
    index += 1
    await queue.add('work', sampleData(index))
  })
  const began = performance.now()
  let worked = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const worker = new Worker(name, async () => null, { connection, concurrency: CONCURRENCY })
  worker.on('completed', () => {
    worked += 1
    if (worked >= added.done) resolve()
  })
  await promise
  const taken = (performance.now() - began) / 1_000
  await worker.close(true)
  await queue.obliterate({ force: true })
  return {
    addedPerSecond: added.done / added.seconds,
    workedPerSecond: worked / taken,
    failed: 0,
    ...(appendOnly === 'yes' && fsync === 'always'
      ? {}
      : {
          weaker: `this Redis has appendonly ${appendOnly}, appendfsync ${fsync}: an add was not on the disk`,
        }),
  }
})
