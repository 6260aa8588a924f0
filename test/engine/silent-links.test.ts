import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { TcpProxy } from '../../src/chaos/tcp-proxy.ts'
import { startEngine } from '../../src/engine/engine.ts'
import { functionGone, functionKnown, sdkWorker } from '../support/sdk-worker.ts'

const SILENT_MS = 600

async function engineWithProxy() {
  const engine = await startEngine({ port: 0, http: false, limits: { silentMs: SILENT_MS } })
  const proxy = await TcpProxy.to(engine.url)
  onTestFinished(async () => {
    await proxy.close()
    await engine.close()
  })
  return { engine, proxy }
}

test('functions of a worker that vanished without a word are gone', async () => {
  const { engine, proxy } = await engineWithProxy()
  const [lost, other] = [await sdkWorker(proxy.url), await sdkWorker(engine.url)]
  lost.registerFunction('lost::hello', async () => 'hello')
  await functionKnown(other, 'lost::hello')
  proxy.loseConnections()
  await functionGone(other, 'lost::hello')
})

test('a worker that says nothing but answers pings stays', async () => {
  const { engine, proxy } = await engineWithProxy()
  const [quiet, other] = [await sdkWorker(proxy.url, 'quiet'), await sdkWorker(engine.url)]
  quiet.registerFunction('quiet::hello', async () => 'hello')
  await functionKnown(other, 'quiet::hello')
  // It would come back at once with another id.
  const idNow = async () => {
    const call = { function_id: 'engine::workers::info', payload: { name: 'quiet' } }
    return ((await other.trigger(call)) as { worker: { id: string } }).worker.id
  }
  const before = await idNow()
  expect(before).toBeTruthy()
  await delay(5 * SILENT_MS)
  expect(await idNow()).toBe(before)
  expect(await other.trigger({ function_id: 'quiet::hello', payload: {} })).toBe('hello')
})
