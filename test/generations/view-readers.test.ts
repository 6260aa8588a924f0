import { expect, test } from 'vitest'
import type { ControlStore, Generation } from '../../src/control/contract.ts'
import { ViewReaders } from '../../src/generations/view-readers.ts'
import type { App } from '../../src/kernel/app.ts'
import type { ReadableView } from '../../src/projection/contract.ts'
import { balances } from '../support/ledger-app.ts'

/** Readers of a view with generations in the given states, from 1 on, and what was opened and closed. */
function readersOf(...states: Generation['state'][]) {
  const happened: string[] = []
  /** How long it takes to see whether a generation is there. */
  const looks = new Map<number, Promise<void>>()
  const found = states.map((state, index) => ({
    projection: 'balances',
    generation: index + 1,
    version: 1,
    partitions: 1,
    state,
    parts: [{ phase: 'following' }],
  }))
  const readers = new ViewReaders({
    app: { projections: new Map([['balances', balances()]]) } as unknown as App,
    control: { projection: async () => ({ generations: found }) } as unknown as ControlStore,
    open({ generation }) {
      happened.push(`open ${generation}`)
      return {
        async isWritten() {
          await looks.get(generation)
          return true
        },
        isReplaced: () => false,
        position: async () => generation,
        close: () => void happened.push(`close ${generation}`),
      } as unknown as ReadableView
    },
  })
  const read = (generation?: number) => readers.use('balances', ({ view }) => view.position(), generation)
  return { readers, found, happened, looks, read }
}

test('the active generation stays open for the next reader; another one is closed when it was read', async () => {
  const { happened, read } = readersOf('previous', 'active')
  expect([await read(), await read(1), await read()]).toEqual([2, 1, 2])
  expect(happened).toEqual(['open 2', 'open 1', 'close 1'])
})

test('a generation is read to its end though another one serves meanwhile, and closed after that', async () => {
  const { readers, found, happened, read } = readersOf('active', 'ready')
  await readers.use('balances', async ({ view }) => {
    Object.assign(found[0] ?? {}, { state: 'previous' })
    Object.assign(found[1] ?? {}, { state: 'active' })
    expect(await read()).toBe(2)
    expect(happened).toEqual(['open 1', 'open 2'])
    expect(await view.position()).toBe(1)
  })
  await read()
  expect(happened.filter((each) => each === 'close 1')).toEqual(['close 1'])
})

test('a generation that is looked at is not closed by another reader that ends meanwhile', async () => {
  const { happened, looks, read } = readersOf('previous', 'active')
  const look = Promise.withResolvers<void>()
  looks.set(1, look.promise)
  const slow = read(1)
  expect(await read()).toBe(2)
  expect(happened).toEqual(['open 1', 'open 2'])
  look.resolve()
  expect(await slow).toBe(1)
  expect(happened).toEqual(['open 1', 'open 2', 'close 1'])
})

test('who asks for a generation that is not there, or for one that serves when none does, is told which', async () => {
  const { read } = readersOf('previous')
  await expect(read()).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
    message: expect.stringContaining('The view balances has no generation that serves.'),
  })
  await expect(read(7)).rejects.toThrow('balances has no readable generation 7;')
})
