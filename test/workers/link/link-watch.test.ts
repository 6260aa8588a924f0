import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { TcpProxy } from '../../../src/chaos/tcp-proxy.ts'
import { startEngine } from '../../../src/engine/engine.ts'
import { watchLink } from '../../../src/workers/link/link-watch.ts'
import { sdkWorker } from '../../support/sdk-worker.ts'
import { until } from '../../support/until.ts'

/** Long enough for an answer on a busy machine; what the watch waits for in a row is this long. */
const LIMIT_MS = 1_500

/** A worker under watch, with a proxy between it and its engine. */
async function watched() {
  const engine = await startEngine({ port: 0, http: false })
  const proxy = await TcpProxy.to(engine.url)
  const iii = await sdkWorker(proxy.url)
  let dead = 0
  const end = watchLink({ iii, url: proxy.url, limitMs: LIMIT_MS, onDead: () => (dead += 1) })
  onTestFinished(async () => {
    end()
    await proxy.close()
    await engine.close()
  })
  return { engine, proxy, iii, dead: () => dead }
}

test('a link that stays open while nothing passes any more is found dead', async () => {
  const { proxy, dead } = await watched()
  proxy.loseConnections()
  const lost = performance.now()
  await until('the link is found dead', () => dead() === 1)
  expect(performance.now() - lost).toBeGreaterThan((LIMIT_MS * 2) / 3)
})

test('a link that was cut and is there again is not dead', async () => {
  const { proxy, iii, dead } = await watched()
  for (let cut = 0; cut < 5; cut += 1) {
    await proxy.breakConnections()
    await delay(LIMIT_MS / 2)
  }
  await iii.trigger({ function_id: 'engine::workers::list', payload: {} })
  expect(dead()).toBe(0)
})

test('an engine that is away, or stands still, makes no link dead', async () => {
  const { engine, proxy, dead } = await watched()
  proxy.stall()
  await delay(2 * LIMIT_MS)
  expect(dead()).toBe(0)
  proxy.resume()
  await engine.close()
  await delay(2 * LIMIT_MS)
  expect(dead()).toBe(0)
})
