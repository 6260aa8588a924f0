import type { QueueStore } from '../../../src/queue/contract.ts'
import { sampleData } from '../tasks/sample-event.ts'

/** Messages that one transaction stores. */
const BATCH = 1_000

/** Messages for `bench::work` that are in a queue before anything is measured. */
export interface Filling {
  readonly queue: string
  readonly messages: number
  /** Groups of a fifo queue; 0 for a standard one. */
  readonly groups: number
}

/** Fills a queue, straight in its store. */
export async function fillQueue(store: QueueStore, { queue, messages, groups }: Filling): Promise<void> {
  for (let from = 0; from < messages; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, messages - from) }, (_, at) => ({
      queue,
      id: `b${from + at}`,
      functionId: 'bench::work',
      group: groups > 0 ? `g${(from + at) % groups}` : undefined,
      data: JSON.stringify(sampleData(from + at)),
    }))
    await store.enqueue(batch)
  }
}
