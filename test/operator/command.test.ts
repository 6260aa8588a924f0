import { expect, test } from 'vitest'
import { connect } from '../support/connect.ts'
import { runProgram } from '../support/program.ts'
import { newSite, startPart, startParts } from '../support/system.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const mug = (quantity: number) => JSON.stringify({ sku: 'mug', name: 'Mug', priceCents: 100, quantity })

test('an operator sends a command: it is accepted, once for each key, or refused with the reason', async () => {
  const site = await newSite()
  await startParts(site, { without: ['queue', 'projections', 'queries'] })
  const command = (...args: string[]) =>
    runProgram(['command', ...args], tempFolder(), { ...site.env, III_URL: site.engine, USER: 'ada' })

  expect(await command('add-inventory-item', mug(5), '--key', 'alert:7:1')).toEqual({
    exitCode: 0,
    stdout: 'accepted: 1 event, position 1, version 1 of the stream\n',
    stderr: '',
  })
  expect(await command('add-inventory-item', mug(5), '--key', 'alert:7:1')).toMatchObject({
    exitCode: 0,
    stdout: 'accepted: 1 event, position 1, version 1 of the stream, as before: the key was known\n',
  })
  expect(await command('add-inventory-item', mug(9), '--key', 'alert:7:1')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('its idempotency key was used for another command or input'),
  })
  expect(await command('add-inventory-item', mug(5))).toMatchObject({
    exitCode: 1,
    stdout: '',
    stderr: expect.stringMatching(/^The command cmd::add-inventory-item was not accepted: duplicate_sku: /),
  })
  const sold = await command('sell-item', '{"sku":"mug","quantity":2}', '--json')
  expect(JSON.parse(sold.stdout)).toMatchObject({ kind: 'accepted', position: 2, replayed: false })
  const refused = await command('sell-item', '{"sku":"mug","quantity":9}', '--json')
  expect(refused.exitCode).toBe(1)
  expect(JSON.parse(refused.stdout)).toMatchObject({ kind: 'rejected' })

  expect(await command('sell-item', '{"sku":')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('The input is not JSON'),
  })
  expect(await command('sell-item', '[]')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('has to be a JSON object'),
  })
  expect(await command('sell-itme', '{}')).toMatchObject({
    exitCode: 3,
    stderr: expect.stringContaining('Nobody takes the command sell-itme'),
  })
})

test('if the store cannot say whether a command was stored, its key is shown', async () => {
  const site = await newSite()
  await startPart(site, 'engine')
  const worker = connect(site.engine)
  let key: unknown
  worker.registerFunction('cmd::wind-clock', async (_: unknown, metadata: unknown) => {
    key = (metadata as { idempotencyKey?: string }).idempotencyKey
    throw new Error('CQRS_STORE_UNAVAILABLE: The disk reported an error.')
  })
  await until('the command is offered', async () => {
    const { exitCode, stderr } = await runProgram(['command', 'wind-clock'], tempFolder(), {
      ...site.env,
      III_URL: site.engine,
    })
    if (exitCode === 3) return false
    expect(stderr).toBe(
      `CQRS_STORE_UNAVAILABLE: The disk reported an error. If you send it again, do so with --key ${key}.\n`,
    )
    return true
  })
})

test('without an engine nothing is said to be unknown', async () => {
  const sent = await runProgram(['command', 'sell-item', '{}'], tempFolder(), { III_URL: 'ws://127.0.0.1:9' })
  expect(sent).toMatchObject({
    exitCode: 3,
    stderr: expect.stringMatching(/^CQRS_ENGINE_UNREACHABLE: No engine answers/),
  })
  expect(sent.stderr).not.toContain('--key')
})
