import { pino } from 'pino'
import { expect, test } from 'vitest'
import { redirectSdkOutput } from '../../src/workers/sdk-output.ts'

function redirected() {
  const logged: { level: number; msg: string }[] = []
  const written: unknown[][] = []
  const console = {
    debug: (...parts: unknown[]) => void written.push(parts),
    warn: (...parts: unknown[]) => void written.push(parts),
    error: (...parts: unknown[]) => void written.push(parts),
  }
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  redirectSdkOutput(console, log)
  return { console, logged, written }
}

test('an engine that cannot be reached is one warning per outage', () => {
  const { console, logged } = redirected()
  const refused = () => console.error('[iii] WebSocket error', new Error('connect ECONNREFUSED'))
  refused()
  refused()
  console.debug('[iii] Worker registered with ID:', 'x')
  refused()
  expect(logged.map(({ level }) => level)).toEqual([40, 40])
  expect(logged[0]?.msg).toContain('ECONNREFUSED')
})

test('other errors of the SDK are errors in the log', () => {
  const { console, logged, written } = redirected()
  console.error('[iii] Trigger registration failed for "x"')
  expect(logged).toMatchObject([{ level: 50, msg: '[iii] Trigger registration failed for "x"' }])
  expect(written).toEqual([])
})

test('what an app writes to the console stays there', () => {
  const { console, logged, written } = redirected()
  console.warn('mine', 1)
  expect(written).toEqual([['mine', 1]])
  expect(logged).toEqual([])
})
