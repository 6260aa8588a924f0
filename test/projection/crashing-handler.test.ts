import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { Turns } from '../../src/projection/turns.ts'
import { ledger, toHead } from '../support/ledger.ts'
import { balances } from '../support/ledger-app.ts'
import { until } from '../support/until.ts'

const PROGRAM = new URL('../support/crashing-projector.ts', import.meta.url).pathname

/** Runs the process of crashing-projector.ts to its end. */
async function run(logPath: string, viewPath: string, now: number) {
  const child = spawn(process.execPath, [PROGRAM, logPath, viewPath, String(now)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const [, signal] = await once(child, 'close')
  return { output, signal }
}

test('an event whose handler kills the process is parked and dead in the end; the rest goes on', async () => {
  const { move, logPath, viewPath, view, document, clock } = ledger()
  await move('bob', 1)
  await move('ada', 666)
  await move('bob', 2)
  await move('ada', 5)

  // The first process dies in the batch, two more on the event alone; the fourth parks it and goes on.
  for (let death = 1; death <= 3; death += 1) {
    expect(await run(logPath, viewPath, clock.now)).toEqual({ output: '', signal: 'SIGKILL' })
  }
  expect(await run(logPath, viewPath, clock.now)).toMatchObject({ output: 'at the head' })
  expect(await document('bob')).toMatchObject({ balance: 3 })
  expect((await view.sequence('ada', 9)).map(({ status, attempts }) => [status, attempts])).toEqual([
    ['retrying', 1],
    ['waiting', 0],
  ])

  // Each retry that kills the process counts as one attempt.
  for (const expected of [2, 3]) {
    clock.now += 1_000
    expect((await run(logPath, viewPath, clock.now)).signal).toBe('SIGKILL')
    expect((await run(logPath, viewPath, clock.now)).output).toBe('at the head')
    expect((await view.sequence('ada', 1))[0]).toMatchObject({ attempts: expected })
  }
  const [dead] = await view.sequence('ada', 1)
  expect(dead?.status).toBe('dead')
  expect(dead?.failures.at(-1)?.message).toMatch(/process ended/)
})

test('a process that is killed once while an event is applied costs the event nothing', async () => {
  const { move, projector, view, document } = ledger()
  await move('ada', 5)
  await view.beginTrial({ from: 1, to: 1, ends: 0 }, 0)
  await toHead(projector())
  expect(await document('ada')).toMatchObject({ balance: 5 })
  expect(await view.parkedCounts()).toEqual({ retrying: 0, dead: 0, waiting: 0 })
})

test('an event that ended processes stays to blame if the disk is full when that is to be stored', async () => {
  const tried: number[] = []
  const { move, projector, view } = ledger(balances({ fails: (_, amount) => tried.push(amount) > 0 }))
  await move('ada', 666)
  await view.beginTrial({ from: 1, to: 1, ends: 1 }, 0)
  const next = projector()
  const { commit } = view
  view.commit = () => Promise.reject(new Error('The disk is full.'))
  await expect(next.step()).rejects.toThrow('full')
  view.commit = commit
  await toHead(next)
  expect(tried, 'its handler does not run again').toEqual([])
  expect(await view.sequence('ada', 1)).toMatchObject([
    { attempts: 1, failures: [{ message: expect.stringMatching(/process ended/) }] },
  ])
})

test('a process that was killed once while an event was applied is not held against its retries', async () => {
  let isFailing = true
  const { move, projector, view, document, clock } = ledger(balances({ fails: () => isFailing }))
  await move('ada', 5)
  await view.beginTrial({ from: 1, to: 1, ends: 0 }, 0)
  const next = projector()
  await toHead(next)
  isFailing = false
  clock.now += 1_000
  expect(await next.retryDue()).toBe(1)
  expect(await document('ada')).toMatchObject({ balance: 5 })
})

test('a step that another writer superseded leaves no trial behind', async () => {
  const { move, projector, view, openView } = ledger()
  await move('ada', 1)
  const slow = projector()
  expect(await slow.step()).toBe('advanced')
  await move('ada', 2)
  await projector({ view: openView(), batchSize: 1 }).step()
  expect(await slow.step()).toBe('superseded')
  expect(await view.trial()).toBeUndefined()
})

test('a writer that is overtaken leaves the trial of the one that was faster alone', async () => {
  const { move, projector, view, openView } = ledger()
  await move('ada', 1)
  const slow = projector()
  await slow.step()
  for (const amount of [2, 3]) await move('ada', amount)
  const other = openView()
  await projector({ view: other, batchSize: 1 }).step()
  const { revision } = await other.checkpoint()
  const trial = { from: 3, to: 3, ends: 1 }
  await other.beginTrial(trial, revision)
  expect(await slow.step()).toBe('superseded')
  expect(await view.trial()).toEqual(trial)
})

test('a store that fails while an event is applied or retried leaves no trial behind', async () => {
  let isFailing = false
  const { move, projector, view, clock, document } = ledger(balances({ fails: () => isFailing }))
  const failing = (name: 'load' | 'sequence') => {
    const method = view[name] as (...given: unknown[]) => Promise<never>
    const found: unknown[] = []
    view[name] = async () => {
      found.push(await view.trial())
      view[name] = method.bind(view)
      throw new Error('The disk fails.')
    }
    return found
  }
  await move('ada', 1)
  const runs = projector()
  const step = failing('load')
  await expect(runs.step()).rejects.toThrow('The disk fails.')
  expect([step, await view.trial()]).toEqual([[{ from: 1, to: 1, ends: 0 }], undefined])

  isFailing = true
  await runs.step()
  isFailing = false
  clock.now += 1_000
  const retry = failing('sequence')
  await expect(runs.retryDue()).rejects.toThrow('The disk fails.')
  expect([retry, await view.trial()]).toEqual([[{ from: 1, to: 1, ends: 0 }], undefined])
  await runs.retryDue()
  expect(await document('ada')).toMatchObject({ balance: 1 })
})

test('of the projections of one process only one has an open trial, so no other is blamed for its end', async () => {
  const turns = new Turns()
  const [one, other] = [ledger(), ledger()]
  await one.move('ada', 1)
  await other.move('bob', 1)
  const gate = Promise.withResolvers<void>()
  const { commit } = one.view
  one.view.commit = async (change) => {
    await gate.promise
    return commit.call(one.view, change)
  }
  const steps = [one.projector({ turns }).step(), other.projector({ turns }).step()]
  await until('the first has begun its trial', async () => (await one.view.trial()) !== undefined)
  expect(await other.view.trial()).toBeUndefined()
  gate.resolve()
  expect(await Promise.all(steps)).toEqual(['advanced', 'advanced'])
  expect(await other.document('bob')).toMatchObject({ balance: 1 })
})
