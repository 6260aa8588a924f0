import { pino } from 'pino'
import { expect, test } from 'vitest'
import { redirectSdkOutput } from '../../../src/workers/link/sdk-output.ts'

function redirected(stopping?: AbortSignal) {
  let lost = 0
  const logged: { level: number; msg: string }[] = []
  const written: unknown[][] = []
  const console = {
    debug: (...parts: unknown[]) => void written.push(parts),
    warn: (...parts: unknown[]) => void written.push(parts),
    error: (...parts: unknown[]) => void written.push(parts),
  }
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  redirectSdkOutput(console, log, { stopping, onLinkLost: () => (lost += 1) })
  return { console, logged, written, losses: () => lost }
}

test('an engine that cannot be reached is one warning per outage', () => {
  const { console, logged } = redirected()
  const refused = () => console.error('[iii] WebSocket error', new Error('connect ECONNREFUSED'))
  refused()
  refused()
  console.debug('[iii] Worker registered with ID:', 'x')
  refused()
  expect(logged.map(({ level }) => level)).toEqual([40, 20, 20, 40])
  expect(logged[0]?.msg).toContain('ECONNREFUSED')
})

test('a link is lost that was there; one that never came about, or does not come about again, is not', () => {
  const { console, losses } = redirected()
  const tryAgain = () => {
    for (const attempt of [1, 2]) console.debug(`[iii] Reconnecting in 100ms (attempt ${attempt})...`)
  }
  tryAgain()
  expect(losses()).toBe(0)
  console.debug('[iii] Worker registered with ID:', 'x')
  tryAgain()
  expect(losses()).toBe(1)
})

test('other errors of the SDK are errors in the log', () => {
  const { console, logged, written } = redirected()
  console.error('[iii] Trigger registration failed for "x"')
  expect(logged).toMatchObject([{ level: 50, msg: '[iii] Trigger registration failed for "x"' }])
  expect(written).toEqual([])
})

test('while the process stops it is no trouble that the engine goes; what else goes wrong is', () => {
  const stop = new AbortController()
  const { console, logged } = redirected(stop.signal)
  const lose = () => {
    console.error('[iii] Failed to send message', new Error('write EPIPE'))
    console.error('[iii] Exception while sending message', new Error('write ECONNRESET'))
    console.error('[iii] WebSocket error', new Error('read ECONNRESET'))
    console.error('[OTel] Failed to send spans:', 'write EPIPE')
  }
  lose()
  expect(logged.splice(0).map(({ level }) => level)).toEqual([50, 50, 40, 50])
  stop.abort()
  lose()
  console.error('[iii] WebSocket error', new Error('Unexpected server response: 401'))
  expect(logged.splice(0).map(({ level }) => level)).toEqual([20, 20, 20, 20, 20])
  console.error('[iii] Trigger registration failed for "x"')
  expect(logged.map(({ level }) => level)).toEqual([50])
})

test('what an app writes to the console stays there', () => {
  const { console, logged, written } = redirected()
  console.warn('mine', 1)
  expect(written).toEqual([['mine', 1]])
  expect(logged).toEqual([])
})
