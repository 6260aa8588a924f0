import { expect, test } from 'vitest'
import { OtherCommands } from '../../../src/workers/projections/other-commands.ts'
import { sendEffect } from '../../../src/workers/projections/send-effect.ts'

const LIMIT_MS = 60_000

/** An app with two commands that sends effects, on an engine on which nobody offers anything but `offered`. */
function newApp({ limitMs = LIMIT_MS } = {}) {
  const offered = new Set<string>()
  const warnings: string[] = []
  let now = 0
  const trigger = async ({ function_id }: { function_id: string }) => {
    if (offered.has(function_id)) return { kind: 'accepted' }
    throw Object.assign(new Error('Function not found'), { code: 'function_not_found' })
  }
  const iii = { trigger } as unknown as Parameters<typeof sendEffect>[0]
  const others = new OtherCommands({
    commands: new Map([
      ['place-order', {}],
      ['cancel-order', {}],
    ]),
    limitMs,
    monotonic: () => now,
    log: { warn: (_: unknown, text: string) => void warnings.push(text) } as never,
  })
  const send = (functionId: string) =>
    sendEffect(iii, { kind: 'call', functionId, data: {} }, 'orders:1:1', { timeoutMs: 5_000, others })
  return {
    offered,
    warnings,
    send,
    pass: (ms: number) => {
      now += ms
    },
    /** Tries an effect every second, as a sweep does, for as long as it is to wait. */
    async tryFor(ms: number, functionId: string) {
      for (let passed = 0; passed < ms; passed += 1_000) {
        expect(await send(functionId)).toBe('unreachable')
        now += 1_000
      }
    },
  }
}

test('an effect waits for a command of the app, and for a function of anybody else, for ever', async () => {
  const { send, tryFor, warnings } = newApp()
  await tryFor(10 * LIMIT_MS, 'cmd::place-order')
  await tryFor(10 * LIMIT_MS, 'payments::charge')
  expect(await send('payments::charge')).toBe('unreachable')
  expect(warnings).toEqual([])
})

test('an effect waits for a command of another app that is away for less than the limit, as often as that happens', async () => {
  const { offered, send, tryFor } = newApp()
  for (let times = 0; times < 5; times += 1) {
    await tryFor(LIMIT_MS, 'cmd::reserve-stock')
    offered.add('cmd::reserve-stock')
    expect(await send('cmd::reserve-stock')).toBe('sent')
    offered.clear()
  }
})

test('an effect whose command nobody offers has failed after the limit; what to do is said then, and at the start', async () => {
  const { offered, send, tryFor, warnings } = newApp()
  await tryFor(LIMIT_MS, 'cmd::reserve-stok')
  const known = 'no command reserve-stok; it has: place-order, cancel-order.'
  const failed = { code: 'CQRS_UNKNOWN_COMMAND', message: expect.stringContaining(known) }
  await expect(send('cmd::reserve-stok')).rejects.toMatchObject(failed)
  expect(warnings).toEqual([expect.stringContaining(known)])
  // The next one need not wait as long again.
  await expect(send('cmd::reserve-stok')).rejects.toMatchObject(failed)
  expect(await send('cmd::reserve-stock')).toBe('unreachable')
  offered.add('cmd::reserve-stok')
  expect(await send('cmd::reserve-stok')).toBe('sent')
})

test('the time of a pause, in which nobody looks for the command, does not count as its absence', async () => {
  const { send, pass } = newApp()
  for (let times = 0; times < 5; times += 1) {
    expect(await send('cmd::reserve-stock')).toBe('unreachable')
    pass(100 * LIMIT_MS)
  }
})

test('a command that was given up is waited for again if it was not called for long: it may have been there meanwhile', async () => {
  const { send, pass, tryFor } = newApp()
  await tryFor(LIMIT_MS, 'cmd::reserve-stock')
  const failed = { code: 'CQRS_UNKNOWN_COMMAND' }
  // The attempts of the effects that have waited, as far apart as the settings may put them.
  for (let attempts = 0; attempts < 5; attempts += 1) {
    await expect(send('cmd::reserve-stock')).rejects.toMatchObject(failed)
    pass(LIMIT_MS / 2)
  }
  // The other app was started, the effects were discarded, and days later that app is deployed again.
  pass(100 * LIMIT_MS)
  await tryFor(LIMIT_MS, 'cmd::reserve-stock')
  await expect(send('cmd::reserve-stock')).rejects.toMatchObject(failed)
})

test('a limit of 0 waits for no other app', async () => {
  const { send, pass } = newApp({ limitMs: 0 })
  for (let times = 0; times < 2; times += 1) {
    await expect(send('cmd::reserve-stock')).rejects.toMatchObject({ code: 'CQRS_UNKNOWN_COMMAND' })
    pass(LIMIT_MS)
  }
  expect(await send('cmd::place-order')).toBe('unreachable')
})
