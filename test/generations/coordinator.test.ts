import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Coordinator } from '../../src/generations/coordinator.ts'
import type { ViewStorage } from '../../src/generations/place.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { generations } from '../support/generations.ts'
import { balances } from '../support/ledger-app.ts'

test('a comparison that fails is begun again after longer and longer rests, and said once', async () => {
  const { work, move } = generations()
  const worker = await work(balances())
  await move('ada', 1)
  await worker.settle()
  await worker.request()
  let comparisons = 0
  let disk: 'fails' | 'works' = 'fails'
  const lines: string[] = []
  const coordinator = new Coordinator({
    projection: balances(),
    control: worker.control,
    storage: {} as ViewStorage,
    async compare() {
      comparisons += 1
      if (disk === 'fails') throw new Error('the disk fails')
      const side = { position: 1, documents: 1, hash: '' }
      const same = { samePosition: true, added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }
      return { kind: 'compared', ...same, before: side, after: side }
    },
    log: pino({ level: 'error' }, { write: (line) => void lines.push(JSON.parse(line).msg) }),
  })
  /** Looks after all units have done what there is to do. */
  const look = async () => {
    await worker.moveUnits()
    await coordinator.reconcile()
    await new Promise(setImmediate)
  }
  while ((await worker.states())[2] !== 'ready') await look()
  const begun: number[] = []
  for (let looks = 1; looks <= 40; looks += 1) {
    const before = comparisons
    await look()
    if (comparisons > before) begun.push(looks)
  }
  expect(begun).toEqual([1, 4, 9, 18, 35])
  expect(lines).toEqual(['The generations could not be compared; trying again'])

  disk = 'works'
  for (let looks = 1; looks <= 40; looks += 1) await look()
  expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
  expect(comparisons).toBe(6)
})

test.each([
  { cured: false, removed: [0, 1], added: [0, 0], ends: { 1: 'active', 2: 'previous', 3: 'failed' } },
  { cured: true, removed: [0, 0], added: [1, 0], ends: { 1: 'previous', 2: 'retired', 3: 'active' } },
])(
  'a generation is compared anew with the one that a rollback brings back meanwhile (cured: $cured)',
  async ({ cured, removed, added, ends }) => {
    const { work, move } = generations()
    const failing = new Set<string>()
    const worker = await work(balances({ fails: (account) => failing.has(account) }))
    const live = worker.units[0]?.generations
    await move('ada', 1)
    await worker.settle()
    failing.add('ada')
    await worker.request()
    await worker.settle()
    expect(await worker.states()).toEqual({ 1: 'previous', 2: 'active' })
    // A document is missing, and in the third one again, unless its cause has gone.
    if (cured) failing.clear()
    await worker.request({ requireParity: true })
    const third = async () => (await worker.control.projection('balances'))?.generations.at(-1)
    while (!(await third())?.report) await worker.tick()
    expect(await third()).toMatchObject({ state: 'ready', report: { removed: removed[0], added: added[0] } })
    await worker.control.move('balances', 1, 'returning')
    await live?.reconcile()
    while ((await live?.step()) !== 'at-head');
    await worker.settle()
    expect(await worker.states()).toEqual(ends)
    expect(await third()).toMatchObject({ report: { removed: removed[1], added: added[1] } })
    expect(await worker.read('ada')).toMatchObject({ balance: 1 })
  },
)

test('a generation that was verified leaves no files, though code that splits otherwise has taken over before they were removed', async () => {
  const { work, move } = generations()
  await move('ada', 1)
  const first = await work(balances())
  await first.settle()
  await first.request({ purpose: 'verify' })
  while ((await first.states())[2] !== 'ready') await first.tick()
  for (let looks = 1; (await first.states())[2] !== 'verified'; looks += 1) {
    expect(looks).toBeLessThan(10)
    await first.coordinator.reconcile()
    await new Promise(setImmediate)
  }
  expect(first.files()).toContain('balances.2.db')
  await first.kill()
  const second = await work({ ...balances(), partitions: 2 })
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'previous', 2: 'verified', 3: 'active' })
  expect(second.files()).not.toContain('balances.2.db')
  await second.control.move('balances', 2, 'pruning')
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'previous', 3: 'active' })
})

test('a rebuild that later code began does not keep a view frozen that this code splits otherwise', async () => {
  const { work, move } = generations()
  await move('ada', 1)
  const first = await work(balances())
  await first.settle()
  await first.stop()
  const later = await work({ ...balances(), version: 2 } as ProjectionDefinition, { buildSteps: 0 })
  await later.settle()
  expect(await later.states()).toEqual({ 1: 'active', 2: 'building' })
  await later.stop()
  const earlier = await work({ ...balances(), partitions: 2 } as ProjectionDefinition)
  await move('ada', 1)
  await earlier.settle()
  expect(await earlier.states()).toEqual({ 1: 'previous', 3: 'active' })
  expect(await earlier.read('ada')).toMatchObject({ moves: 2 })
})

test('why a view that an operator rolled back is not rebuilt by the later code is said once, at its next start, too', async () => {
  const { work, move } = generations()
  await move('ada', 1)
  const first = await work(balances())
  await first.settle()
  await first.kill()
  const later = { ...balances(), version: 2 }
  const second = await work(later)
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'previous', 2: 'active' })
  const lines: string[] = []
  const looking = () =>
    new Coordinator({
      projection: later,
      control: second.control,
      storage: {} as ViewStorage,
      compare: async () => expect.unreachable(),
      log: pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line).msg) }),
    })
  await looking().reconcile()
  expect(lines).toEqual([])
  await second.control.move('balances', 1, 'returning', { forced: true })
  await second.settle()
  expect(await second.states()).toEqual({ 1: 'active', 2: 'previous' })
  for (const coordinator of [looking(), looking()]) {
    await coordinator.reconcile()
    await second.control.pause('balances', true)
    await second.control.pause('balances', false)
    await coordinator.reconcile()
  }
  const said = expect.stringMatching(
    /^Generation 1 of balances serves and stands still.*"cqrs rebuild balances"$/,
  )
  expect(lines).toEqual([said, said])
})
