import { expect, test } from 'vitest'
import { sendEffect } from '../../../src/workers/projections/send-effect.ts'

/** An engine on which nobody offers anything. */
const iii = {
  trigger: async () => {
    throw Object.assign(new Error('Function not found'), { code: 'function_not_found' })
  },
} as unknown as Parameters<typeof sendEffect>[0]

const send = (functionId: string) =>
  sendEffect(iii, { kind: 'call', functionId, data: {} }, 'orders:1:1', {
    timeoutMs: 5_000,
    commands: new Map([
      ['reserve-stock', {}],
      ['release-stock', {}],
    ]),
  })

test('an effect waits for a command of the app, and for a function of anybody else, that is away', async () => {
  expect(await send('cmd::reserve-stock')).toBe('unreachable')
  expect(await send('payments::charge')).toBe('unreachable')
})

test('an effect whose command the app does not define has failed: nobody will ever have it', async () => {
  await expect(send('cmd::reserve-stok')).rejects.toMatchObject({
    code: 'CQRS_UNKNOWN_COMMAND',
    message: expect.stringContaining('no command reserve-stok; it has: reserve-stock, release-stock.'),
  })
})
