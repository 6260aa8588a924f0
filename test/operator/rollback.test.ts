import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ControlStore } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { rollback } from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const input = { projection: 'balances' }

/** A view whose generation 2 serves in the place of 1, both of version 1. */
async function site() {
  const control = openSqliteControl({ path: join(tempFolder(), 'control.db') })
  onTestFinished(() => control.close())
  await control.adopt({ ...input, generation: 1, version: 1, partitions: 1 })
  await control.request({ ...input, version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  const there = { phase: 'following', position: 9, target: 9, eventsPerSecond: 0, error: undefined } as const
  await control.progress('balances', 2, 0, there)
  await control.lead('balances', 2, 0, 1)
  await control.move('balances', 2, 'ready')
  expect(await control.swap('balances', 2)).toEqual({ kind: 'swapped' })
  await control.tookOver('balances', 0, 1)
  const code = (version = 1, seen: Partial<ControlStore> = {}) => {
    const app = { projections: new Map([['balances', { ...balances(), version }]]) } as unknown as App
    const { projection, move } = control
    const through = { projection: projection.bind(control), move: move.bind(control), ...seen }
    return { control: through, app } as unknown as System
  }
  return { control, code }
}

test('a rollback is not promised when the generation is pruned just before', async () => {
  const { control, code } = await site()
  const move: ControlStore['move'] = async (...wish) => {
    await control.move('balances', 1, 'pruning')
    return control.move(...wish)
  }
  await expect(rollback(code(1, { move }), input)).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
    message: expect.stringMatching(/^Generation 1 of balances was pruned or replaced in the meantime/),
  })
})

test('two who wish the same rollback at once are both told of it', async () => {
  const { control, code } = await site()
  const move: ControlStore['move'] = async (...wish) => {
    await control.move(...wish)
    return control.move(...wish)
  }
  const returns = { generations: [{ projection: 'balances', generation: 1 }] }
  expect(await rollback(code(1, { move }), input)).toEqual(returns)
  expect(await rollback(code(), input)).toEqual(returns)
})

test('a rollback that waits for other code is done with --force', async () => {
  const { control, code } = await site()
  await rollback(code(), input)
  expect(await control.swap('balances', 1)).toEqual({ kind: 'not-yet' })
  await expect(rollback(code(2), input)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  await rollback(code(2), { ...input, force: true })
  expect(await control.swap('balances', 1)).toEqual({ kind: 'swapped' })
})

test('a rollback that waits is wished at any moment while it is forced', async () => {
  const { control, code } = await site()
  await rollback(code(), input)
  const seen: unknown[] = []
  const move: ControlStore['move'] = async (...wish) => {
    const moved = await control.move(...wish)
    seen.push((await control.projection('balances'))?.generations[0]?.state)
    return moved
  }
  await rollback(code(2, { move }), { ...input, force: true })
  expect(seen).toEqual(['returning'])
  expect(await control.swap('balances', 1)).toEqual({ kind: 'swapped' })
})

test('a rollback that a rebuild is faster than says so', async () => {
  const { control, code } = await site()
  await rollback(code(), input)
  await control.request({ ...input, version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  const there = { phase: 'following', position: 9, target: 9, eventsPerSecond: 0, error: undefined } as const
  await control.progress('balances', 3, 0, there)
  await control.lead('balances', 3, 0, 2)
  await control.move('balances', 3, 'ready')
  expect(await control.swap('balances', 3)).toEqual({ kind: 'swapped' })
  expect((await control.projection('balances'))?.generations).toMatchObject([
    { state: 'retired', error: 'Generation 3 was swapped in before this one could return.' },
    { state: 'previous', error: undefined },
    { state: 'active' },
  ])
})

test('an operator worker of the code of before a deployment does not take the earlier generation for one that is kept up to date', async () => {
  const { control, code } = await site()
  await control.request({ ...input, version: 2, partitions: 1, purpose: 'serve', by: 'test' })
  const there = { phase: 'following', position: 9, target: 9, eventsPerSecond: 0, error: undefined } as const
  await control.progress('balances', 3, 0, there)
  await control.lead('balances', 3, 0, 2)
  await control.move('balances', 3, 'ready')
  expect(await control.swap('balances', 3)).toEqual({ kind: 'swapped' })
  await control.tookOver('balances', 0, 2)
  await expect(rollback(code(1), input)).rejects.toMatchObject({ code: 'CQRS_VALIDATION' })
  await rollback(code(1), { ...input, force: true })
  expect(await control.swap('balances', 2)).toEqual({ kind: 'swapped' })
})
