import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { EngineLogger } from '../../src/engine/logger.ts'
import { engineForTest } from './start.ts'

const secret = 's'.repeat(40)

/** Opens a socket; answers the status with which it was refused, or 101. */
function open(url: string, headers: Record<string, string> = {}): Promise<number> {
  const ws = new WebSocket(url, { headers })
  onTestFinished(() => ws.terminate())
  return new Promise((resolve, reject) => {
    ws.once('open', () => resolve(101))
    ws.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
    ws.once('error', reject)
  })
}

test('an engine with a secret lets in who shows it, and says once a minute that others come', async () => {
  const lines: object[] = []
  const note = (fields: object, message: string) => void lines.push({ ...fields, message })
  const logger: EngineLogger = { debug() {}, info() {}, warn: note, error: note }
  const engine = await engineForTest({ secret, logger })
  expect(await open(engine.url)).toBe(401)
  expect(await open(engine.url, { 'x-iii-worker-secret': `${secret}s` })).toBe(401)
  expect(await open(`${engine.url}/?x-iii-worker-secret=${secret}`)).toBe(401)
  expect(await open(engine.url, { 'x-iii-worker-secret': secret })).toBe(101)
  expect(lines).toEqual([
    { address: '127.0.0.1', secretGiven: false, message: 'a worker without the right secret was refused' },
  ])
})

test('an engine without a secret asks for none', async () => {
  const engine = await engineForTest()
  expect(await open(engine.url)).toBe(101)
})
