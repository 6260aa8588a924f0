import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ControlStore } from '../../src/control/contract.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { cancelRebuild, rollback, startRebuild, startVerify } from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const ada = { by: 'ada', from: 'cli on desk-1' }
const input = { projection: 'balances' }

/** A view that serves in version 1, and what operators of code in some version do with it. */
async function site() {
  const control = openSqliteControl({ path: join(tempFolder(), 'control.db') })
  onTestFinished(() => control.close())
  await control.adopt({ ...input, generation: 1, version: 1, partitions: 1 })
  const log = { head: async () => 9 }
  const code = (version = 1) => {
    const app = { projections: new Map([['balances', { ...balances(), version }]]) } as unknown as App
    return { control, log, app } as unknown as System
  }
  /** As an operator sees it who is slower than others. */
  const system = (seen: Partial<ControlStore>) => {
    const { projection, request, move } = control
    const through = {
      projection: projection.bind(control),
      request: request.bind(control),
      move: move.bind(control),
    }
    return { ...code(), control: { ...through, ...seen } } as unknown as System
  }
  const rebuild = (version?: number, options: object = {}) =>
    startRebuild(code(version), { ...input, ...options }, ada)
  return {
    control,
    system,
    rebuild,
    verify: () => startVerify(code(), input, ada),
    rollback: () => rollback(code(), input),
    cancel: (version?: number, request: object = input) => cancelRebuild(code(version), request),
    states: async () =>
      Object.fromEntries(
        ((await control.projection('balances'))?.generations ?? []).map((one) => [one.generation, one.state]),
      ),
    /** Brings a generation that was wished as far as the one that serves. */
    async ready(generation: number) {
      const there = {
        phase: 'following',
        position: 9,
        target: 9,
        eventsPerSecond: 0,
        error: undefined,
      } as const
      await control.progress('balances', generation, 0, there)
      await control.lead('balances', generation, 0, generation - 1)
      expect(await control.move('balances', generation, 'ready')).toBe(true)
    },
  }
}

type Site = Awaited<ReturnType<typeof site>>

/** A rebuild that was done. */
async function swapped({ rebuild, ready, control }: Site) {
  await rebuild()
  await ready(2)
  expect(await control.swap('balances', 2)).toEqual({ kind: 'swapped' })
}

test.each<{
  what: string
  arrange?(site: Site): Promise<unknown>
  version?: number
  request?: object
  says: RegExp
  code?: string
}>([
  {
    what: 'nothing is being built',
    says: /^Nothing is being built for balances, so there is nothing to cancel\.$/,
  },
  {
    what: 'it is done',
    arrange: swapped,
    says: /^Nothing is being built for balances, so there is nothing to cancel\.$/,
  },
  {
    what: 'it was given up already',
    arrange: async ({ rebuild, cancel }) => {
      await rebuild()
      await cancel()
    },
    says: /^Nothing is being built for balances, so there is nothing to cancel\.$/,
  },
  {
    what: 'the app needs it',
    arrange: ({ rebuild }) => rebuild(2),
    version: 2,
    says: /^The app needs this rebuild: the generation of balances that serves has version 1, and the app defines version 2\. If you do not want it, run the app of the other/,
    code: 'CQRS_VALIDATION',
  },
  {
    what: 'there is no such projection',
    request: { projection: 'balance' },
    says: /balance/,
    code: 'CQRS_UNKNOWN_PROJECTION',
  },
  { what: 'no projection is named', request: {}, says: /^projection: /, code: 'CQRS_VALIDATION' },
])('that $what is the reason why nothing is cancelled', async (reason) => {
  const { arrange, version, request, says, code = 'CQRS_NOT_FOUND' } = reason
  const made = await site()
  await arrange?.(made)
  const before = await made.control.projection('balances')
  await expect(made.cancel(version, request)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(says),
  })
  expect(await made.control.projection('balances')).toEqual(before)
})

test('a view that no worker has made yet has nothing to cancel', async () => {
  const { cancel, control } = await site()
  const empty = { control: { ...control, projection: async () => undefined } }
  const app = { projections: new Map([['balances', balances()]]) }
  await expect(cancelRebuild({ ...empty, app } as unknown as System, input)).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
    message: expect.stringMatching(/^No worker has created the view balances yet/),
  })
  await expect(cancel()).rejects.toMatchObject({
    message: 'Nothing is being built for balances, so there is nothing to cancel.',
  })
})

test('all that is being built is given up, however far it is and whatever for', async () => {
  const { rebuild, verify, ready, cancel, states } = await site()
  await rebuild()
  await ready(2)
  await rebuild(1, { until: 5 })
  await verify()
  expect(await states()).toEqual({ 1: 'active', 2: 'ready', 3: 'building', 4: 'building' })
  expect(await cancel()).toEqual({
    generations: [2, 3, 4].map((generation) => ({ projection: 'balances', generation })),
  })
  expect(await states()).toEqual({ 1: 'active', 2: 'cancelling', 3: 'cancelling', 4: 'cancelling' })
})

test('code that serves gives up a rebuild of other code', async () => {
  const { rebuild, cancel, states } = await site()
  await rebuild(2)
  expect(await cancel(1)).toEqual({ generations: [{ projection: 'balances', generation: 2 }] })
  expect(await states()).toEqual({ 1: 'active', 2: 'cancelling' })
})

test('what the app needs stays, and does not keep the rest', async () => {
  const { rebuild, cancel, states } = await site()
  await rebuild(2, { until: 5 })
  await rebuild(2)
  await rebuild(2, { until: 5, force: true })
  expect(await cancel(2)).toEqual({ generations: [{ projection: 'balances', generation: 4 }] })
  expect(await states()).toEqual({ 1: 'active', 2: 'cancelling', 3: 'building', 4: 'cancelling' })
})

test('a rollback that is not done yet is called off', async () => {
  const made = await site()
  await swapped(made)
  await made.rollback()
  expect(await made.states()).toEqual({ 1: 'returning', 2: 'active' })
  expect(await made.cancel()).toEqual({ generations: [{ projection: 'balances', generation: 1 }] })
  expect(await made.states()).toEqual({ 1: 'previous', 2: 'active' })
})

test('what was swapped in just before is not called a rebuild that the app needs', async () => {
  const { rebuild, ready, control, system } = await site()
  await rebuild()
  await ready(2)
  const move: ControlStore['move'] = async (...wish) => {
    await control.swap('balances', 2)
    return control.move(...wish)
  }
  await expect(cancelRebuild(system({ move }), input)).rejects.toMatchObject({
    code: 'CQRS_NOT_FOUND',
    message: 'Nothing is being built for balances, so there is nothing to cancel.',
  })
})

test('a rebuild that is given up by somebody else before it is joined is not joined, and another one begins', async () => {
  const { rebuild, cancel, control, system, states } = await site()
  await rebuild()
  const request: ControlStore['request'] = async (wish) => {
    const outcome = await control.request(wish)
    if (outcome.kind === 'joined') {
      await cancel()
      await control.gone('balances', outcome.generation, 0)
    }
    return outcome
  }
  expect(await startRebuild(system({ request }), input, ada)).toMatchObject({ generation: 3, joined: false })
  expect(await states()).toEqual({ 1: 'active', 3: 'building' })
})
