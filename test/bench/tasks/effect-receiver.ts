import { setTimeout as delay } from 'node:timers/promises'
import { connectSdk } from '../lab/sdk.ts'
import { serveTask } from '../lab/task.ts'

export interface ReceiverInput {
  readonly engine: string
  /** How long each call takes, in milliseconds, as a service outside would take. */
  readonly takesMs: number
  /** After so many calls it ends. */
  readonly effects: number
}

export interface ReceiverOutput {
  /** Calls per second, from the end of the first one to the end of the last. */
  readonly perSecond: number
}

/** The receiver of effects that are calls of a function. */
serveTask(async ({ engine, takesMs, effects }: ReceiverInput): Promise<ReceiverOutput> => {
  const iii = connectSdk(engine, 'bench-receiver')
  let received = 0
  let first = 0
  const last = await new Promise<number>((resolve) => {
    iii.registerFunction('bench::receive', async () => {
      await delay(takesMs)
      received += 1
      if (received === 1) first = performance.now()
      if (received === effects) resolve(performance.now())
      return null
    })
  })
  return { perSecond: ((received - 1) / (last - first)) * 1_000 }
})
