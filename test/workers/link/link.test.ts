import { expect, onTestFinished, test } from 'vitest'
import { startEngine } from '../../../src/engine/engine.ts'
import { connected } from '../../../src/workers/link/link.ts'
import { sdkWorker } from '../../support/sdk-worker.ts'

test('a worker notices when the engine has taken what it registered before', async () => {
  const engine = await startEngine({ port: 0, http: false })
  onTestFinished(() => engine.close())
  const worker = await sdkWorker(engine.url)
  worker.registerFunction('before::link', async () => 'there')
  await connected(worker)
  const called = worker.trigger({ function_id: 'before::link', payload: {}, timeoutMs: 5_000 })
  expect(await called).toBe('there')
})
