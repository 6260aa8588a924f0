import { expect, onTestFinished, test } from 'vitest'
import { startEngine } from '../../src/engine/engine.ts'
import { watchLink } from '../../src/workers/link.ts'
import { sdkWorker } from '../support/sdk-worker.ts'
import { until } from '../support/until.ts'

test('a worker notices each time that its link to the engine came back', async () => {
  const first = await startEngine({ port: 0, http: false })
  onTestFinished(() => first.close())
  const link = watchLink(await sdkWorker(first.url))
  let returns = 0
  const end = link.onReconnected(() => (returns += 1))
  await link.connected
  expect(returns).toBe(0)

  let engine = first
  for (const expected of [1, 2]) {
    await engine.close()
    engine = await startEngine({ port: first.port, http: false })
    onTestFinished(() => engine.close())
    await until('the link is back', () => returns === expected)
  }
  end()
  let others = 0
  link.onReconnected(() => (others += 1))
  await engine.close()
  engine = await startEngine({ port: first.port, http: false })
  await until('the link is back', () => others === 1)
  expect(returns).toBe(2)
})
