import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LongRedrives } from '../../../src/workers/queue/long-redrives.ts'

/** A queue whose redrives go on, and end, when the test says so. */
function gatedQueue() {
  const gates: { readonly tell: (moved: number) => void; readonly end: (failure?: Error) => void }[] = []
  const redrives = new LongRedrives({
    redrive: (_name, tell = () => {}) =>
      new Promise<number>((resolve, reject) => {
        gates.push({ tell, end: (failure) => (failure ? reject(failure) : resolve(0)) })
      }),
  })
  return { gates, redrives }
}

test('what a redrive did between two questions is told though it has ended meanwhile', async () => {
  const { gates, redrives } = gatedQueue()
  const first = redrives.step('jobs', 0)
  gates[0]?.tell(1_000)
  expect(await first).toEqual({ redriven: 1_000, more: true })
  gates[0]?.tell(500)
  gates[0]?.end()
  await nextTurn()
  const second = redrives.step('jobs')
  gates[1]?.end()
  expect(await second).toEqual({ redriven: 500, more: false })
})

test('of a redrive that failed what it did before is told with the next one, once', async () => {
  const { gates, redrives } = gatedQueue()
  const first = redrives.step('jobs')
  gates[0]?.tell(1_000)
  gates[0]?.end(new Error('disk full'))
  await expect(first).rejects.toThrow('disk full')
  const second = redrives.step('jobs')
  gates[1]?.tell(1)
  gates[1]?.end()
  expect(await second).toEqual({ redriven: 1_001, more: false })
  const third = redrives.step('jobs')
  gates[2]?.end()
  expect(await third).toEqual({ redriven: 0, more: false })
})
