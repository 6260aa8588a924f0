import { expect, test } from 'vitest'
import { repeat } from '../../../src/workers/projections/repeat.ts'

/** Runs something whose times end as `ends` say: with the message of an error, or well (''). */
async function repeated(ends: readonly string[]) {
  const stop = new AbortController()
  const waits: number[] = []
  const told: string[] = []
  let time = 0
  await repeat(
    async () => {
      const end = ends[time]
      time += 1
      if (time === ends.length) stop.abort()
      if (end) throw new Error(end)
    },
    {
      intervalMs: 100,
      capMs: 1_000,
      signal: stop.signal,
      onFailure: (error) => told.push((error as Error).message),
      onRecovery: () => told.push('well again'),
      sleep: async (ms) => void waits.push(ms),
    },
  )
  return { waits, told }
}

test('what fails is tried again after longer and longer waits, and at the usual pace once it succeeds', async () => {
  const { waits } = await repeated(['', 'no', 'no', 'no', 'no', 'no', '', '', 'no'])
  expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000, 100, 100, 200])
})

test('a failure is told once for as long as it is the same, and so is its end', async () => {
  const { told } = await repeated(['full', 'full', 'full', 'locked', 'full', '', '', 'full', 'full'])
  expect(told).toEqual(['full', 'locked', 'full', 'well again', 'full'])
})

test('it ends with the signal, also while it waits', async () => {
  const stop = new AbortController()
  let times = 0
  const options = { intervalMs: 1e6, capMs: 1e6, onFailure: () => undefined, onRecovery: () => undefined }
  await repeat(
    async () => {
      times += 1
      setImmediate(() => stop.abort())
    },
    { ...options, signal: stop.signal },
  )
  expect(times).toBe(1)
})
