import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { prune } from '../../src/operator/prune.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

/** A view whose second generation was swapped in; the effects of the first one are not taken over yet. */
async function site() {
  const control = openSqliteControl({ path: join(tempFolder(), 'control.db') })
  onTestFinished(() => control.close())
  const app = { projections: new Map([['balances', balances()]]) } as unknown as App
  const first = { projection: 'balances', version: 1, partitions: 1 }
  const build = () => control.request({ ...first, purpose: 'serve', by: 'test' })
  await control.adopt({ ...first, generation: 1 })
  await build()
  const there = { phase: 'following', position: 1, target: 1, eventsPerSecond: 0, error: undefined } as const
  await control.progress('balances', 2, 0, there)
  await control.lead('balances', 2, 0, 1)
  await control.move('balances', 2, 'ready')
  expect(await control.swap('balances', 2)).toEqual({ kind: 'swapped' })
  return {
    control,
    build,
    takeOver: () => control.tookOver('balances', 0, 1),
    prune: (input: object) => prune({ control, app } as System, input),
  }
}

type Site = Awaited<ReturnType<typeof site>>

const one = { projection: 'balances', generation: 1 }

test.each<{
  what: string
  arrange?(site: Site): Promise<unknown>
  input?: object
  says: RegExp
  code?: string
}>([
  {
    what: 'serves',
    input: { ...one, generation: 2 },
    says: /^Generation 2 of balances serves\. "cqrs rebuild balances" replaces it/,
  },
  {
    what: 'is being built',
    arrange: ({ build }) => build(),
    input: { ...one, generation: 3 },
    says: /^Generation 3 of balances is being built\. "cqrs projections cancel balances" cancels the build/,
  },
  { what: 'holds effects', says: /^Generation 1 of balances still has effects .* has to take over\./ },
  {
    what: 'is to return',
    arrange: ({ control }) => control.move('balances', 1, 'returning'),
    says: /^Generation 1 of balances will serve again .* "cqrs projections cancel balances" cancels the rollback/,
  },
  {
    what: 'is being removed',
    arrange: async ({ takeOver, prune }) => {
      await takeOver()
      await prune(one)
    },
    says: /^Generation 1 of balances is already being removed/,
  },
  {
    what: 'is to be kept for a rollback',
    arrange: ({ takeOver }) => takeOver(),
    input: { ...one, keepPrevious: true },
    says: /^Generation 1 of balances is the one that "cqrs rollback balances" returns to; leave out --keep-previous to remove it\.$/,
  },
  {
    what: 'is not there',
    input: { ...one, generation: 9 },
    says: /^balances has no generation 9; "cqrs projections show balances" lists/,
    code: 'CQRS_NOT_FOUND',
  },
  {
    what: 'is not there for any projection',
    input: { generation: 9 },
    says: /^No projection has a generation 9; "cqrs projections" lists/,
    code: 'CQRS_NOT_FOUND',
  },
])('that a generation $what is the reason, and the only one, why it is not pruned', async (reason) => {
  const { arrange, input = one, says, code = 'CQRS_VALIDATION' } = reason
  const made = await site()
  await arrange?.(made)
  const before = await made.control.projection('balances')
  await expect(made.prune(input)).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
  expect(await made.control.projection('balances')).toEqual(before)
})

test('what can go goes: one that is meant, or all that do not serve', async () => {
  const { control, takeOver, prune } = await site()
  expect(await prune({})).toEqual({ generations: [] })
  await takeOver()
  expect(await prune({ generation: '1' })).toEqual({ generations: [one] })
  expect((await control.projection('balances'))?.generations.map(({ state }) => state)).toEqual([
    'pruning',
    'active',
  ])
})

test('a mistyped way to spare the previous generation removes nothing', async () => {
  const { control, takeOver, prune } = await site()
  await takeOver()
  for (const mistyped of [{ keepPrevios: true }, { keep_previous: true }]) {
    const message = expect.stringContaining(`${Object.keys(mistyped)[0]}: is not known; leave it out`)
    await expect(prune(mistyped)).rejects.toMatchObject({ code: 'CQRS_VALIDATION', message })
  }
  expect((await control.projection('balances'))?.generations.map(({ state }) => state)).toEqual([
    'previous',
    'active',
  ])
})
