import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { CommandExecutor } from '../../src/command/execute.ts'
import inventory from '../../src/inventory/app.ts'
import type { EventLog } from '../../src/log/contract.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { tempFolder } from '../support/temp-folder.ts'
import { until } from '../support/until.ts'

const lamp = { sku: 'lamp', name: 'Lamp', priceCents: 1_000, quantity: 10 }

type Append = EventLog['append']

/** Two processes on one log, of which the first appends through `append`. */
function twoProcesses(append: (real: Append) => Append) {
  const log = openSqliteEventLog({ path: join(tempFolder(), 'events.db') })
  onTestFinished(() => log.close())
  const real = log.append.bind(log)
  const other: EventLog = {
    append: append(real),
    findCommand: (key) => log.findCommand(key),
    readStream: (stream, options) => log.readStream(stream, options),
    history: (stream, options) => log.history(stream, options),
    readFrom: (after, options) => log.readFrom(after, options),
    head: () => log.head(),
    close: () => log.close(),
  }
  let commands = 0
  const executor = (own: EventLog) => {
    const made = new CommandExecutor({
      app: inventory,
      log: own,
      streamCacheSize: 10,
      conflictRetries: 10,
      onAppended: () => undefined,
      now: () => new Date(0),
    })
    return (name: string, input: unknown) => {
      commands += 1
      return made.execute(name, input, { commandId: `c-${commands}` })
    }
  }
  return { log, one: executor(other), two: executor(log) }
}

test('a command that begins while another one learns of its conflict does not rest on it', async () => {
  for (let turns = 0; turns < 8; turns += 1) {
    const answer = Promise.withResolvers<void>()
    let held = 0
    const { one, two, log } = twoProcesses((append) => async (request) => {
      held += 1
      const outcome = await append(request)
      if (held === 1) await answer.promise
      return outcome
    })
    await two('add-inventory-item', lamp)
    // Known to the first process, so that its next command does not load the stream.
    expect(await one('adjust-price', { sku: 'lamp', priceCents: 1_000 })).toMatchObject({ events: 0 })
    expect(await two('sell-item', { sku: 'lamp', quantity: 9 })).toMatchObject({ version: 2 })
    const late = one('sell-item', { sku: 'lamp', quantity: 6 })
    await until('the append is under way', () => held === 1)
    const next = one('sell-item', { sku: 'lamp', quantity: 4 })
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    answer.resolve()
    expect([turns, await late, await next]).toMatchObject([turns, { kind: 'rejected' }, { kind: 'rejected' }])
    expect(await log.head()).toBe(2)
  }
})

/** Two processes that know a lamp; appends of the first are held until it is let go on. */
async function appendsOfOneHeld() {
  const release = Promise.withResolvers<void>()
  let held = 0
  const { one, two } = twoProcesses((append) => async (request) => {
    held += 1
    await release.promise
    return append(request)
  })
  await two('add-inventory-item', lamp)
  expect(await one('adjust-price', { sku: 'lamp', priceCents: 1_000 })).toMatchObject({ events: 0 })
  return { one, two, isHeld: () => held > 0, release: release.resolve }
}

test('a rejection rests on what others had stored before, though an append is under way', async () => {
  const { one, two, isHeld, release } = await appendsOfOneHeld()
  expect(await two('restock-item', { sku: 'lamp', quantity: 10 })).toMatchObject({ version: 2 })
  // There are 20, and the first process still thinks of 10.
  const sale = one('sell-item', { sku: 'lamp', quantity: 15 })
  const small = one('sell-item', { sku: 'lamp', quantity: 1 })
  await until('an append is under way', isHeld)
  release()
  expect(await Promise.all([sale, small])).toMatchObject([{ kind: 'accepted' }, { kind: 'accepted' }])
})

test('a command that changes nothing names a version that is stored', async () => {
  const { one, isHeld, release } = await appendsOfOneHeld()
  const same = one('adjust-price', { sku: 'lamp', priceCents: 1_000 })
  const sale = one('sell-item', { sku: 'lamp', quantity: 1 })
  await until('an append is under way', isHeld)
  expect(await same).toMatchObject({ position: 1, version: 1, events: 0 })
  release()
  expect(await sale).toMatchObject({ position: 2, version: 2 })
})
