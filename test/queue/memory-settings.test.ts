import { expect, onTestFinished, test, vi } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { DurableQueue } from '../../src/queue/queue.ts'
import { startQueue } from '../../src/workers/queue/queue.ts'
import type { RoleContext } from '../../src/workers/role.ts'
import { silent } from '../support/queue-harness.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('how much memory the queues of a worker share, and how long a message may be, is configured', async () => {
  const open = vi.spyOn(DurableQueue, 'open').mockRejectedValue(new Error('the test has seen enough'))
  onTestFinished(() => open.mockRestore())
  const env = {
    CQRS_QUEUE_MEMORY_MESSAGES: '3',
    CQRS_QUEUE_MEMORY_CHARACTERS: '4000',
    CQRS_QUEUE_MEMORY_NUMBERS: '50',
    CQRS_QUEUE_MAX_DATA_LENGTH: '2000',
  }
  const context = {
    app: { projections: new Map() },
    config: loadConfig({ env, cwd: tempFolder() }),
    log: silent,
    stopping: new AbortController().signal,
    stands() {},
    fail() {},
  } as unknown as RoleContext
  await expect(startQueue(context)).rejects.toThrow('seen enough')
  const options = open.mock.calls[0]?.[0]
  await options?.store.close()
  expect(options?.memory).toEqual({ messages: 3, bytes: 4_000, tracked: 50 })
  expect(options?.maxDataLength).toBe(2_000)
})
