import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { type HostProcess, stopRequested } from '../../src/supervisor/supervised.ts'

test('a second SIGTERM does not end a process that is stopping', async () => {
  const events = new EventEmitter()
  const stop = stopRequested(Object.assign(events, { connected: false }) as unknown as HostProcess)
  events.emit('SIGTERM')
  expect(await stop).toBe('SIGTERM')
  // Without a listener Node would end the process at the next one.
  expect(events.listenerCount('SIGTERM')).toBe(1)
})
