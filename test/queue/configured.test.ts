import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import inventory from '../../src/inventory/app.ts'
import noApp from '../../src/kernel/no-app.ts'
import { queuesToDefine } from '../../src/workers/queue/queue.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** The queues that the program defines if the configuration defines these. */
function defined(queues: Record<string, unknown>, app = noApp) {
  const { queue } = loadConfig({ env: { CQRS_QUEUE_TIMEOUT_MS: '7' }, cwd: tempFolder() })
  return queuesToDefine({ queue: { ...queue, queues }, file: '/srv/iii.config.yaml' }, app)
}

test('without an app there are the default queue and those of the configuration', () => {
  expect(Object.keys(defined({}))).toEqual(['default'])
  expect(defined({ mails: { max_retries: 5 }, jobs: null })).toMatchObject({
    mails: { max_retries: 5, type: 'standard' },
    jobs: { max_retries: 3 },
  })
})

test('what the configuration says of the default queue goes before the settings that it has of its own', () => {
  expect(defined({}).default).toMatchObject({ timeout_ms: 7, concurrency: 10 })
  expect(defined({ default: { concurrency: 2 } }).default).toMatchObject({ timeout_ms: 7, concurrency: 2 })
})

test('a queue that is defined wrongly, or like one of the app, is named together with the file', () => {
  expect(() => defined({ mails: { type: 'fifo' } })).toThrow(
    expect.objectContaining({
      code: 'CQRS_CONFIG_INVALID',
      message: expect.stringMatching(/queues in \/srv\/iii\.config\.yaml: .*"mails".*message_group_field/),
    }),
  )
  expect(() => defined({ mails: 3 })).toThrow(/"mails"/)
  expect(() => defined({ ['q'.repeat(300)]: {} })).toThrow(/iii\.config\.yaml: .* 1 to 256 characters/)
  expect(() => defined({ 'inventory-list': {} }, inventory)).toThrow(/projection; choose another name/)
})
