import { expect } from 'vitest'
import { viewPath } from '../../src/config/paths.ts'
import type { Generation } from '../../src/control/contract.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { generations, type Worker } from './generations.ts'
import { balances } from './ledger-app.ts'

/** How the document of one account begins; with its last byte changed it is no JSON any more. */
export const SEVENTH = '{"account":"account-7"'

/** The balances as a view without effects. */
export function plainBalances(partitions = 1): ProjectionDefinition {
  return { ...balances(), kind: 'projection', partitions }
}

/** A view of 200 accounts, whose worker was stopped; `file` is that of (the first part of) a generation. */
export async function stoppedView(fold: ProjectionDefinition, { amount = 1 } = {}) {
  const world = generations()
  const worker = await world.work(fold)
  await Promise.all(Array.from({ length: 200 }, (_, index) => world.move(`account-${index}`, amount)))
  await worker.settle()
  await worker.stop()
  const partition = { index: 0, count: fold.partitions }
  const file = (generation: number) => viewPath(world.data, 'balances', { generation, partition })
  return { ...world, file }
}

/** Builds a generation, which is swapped in; its worker dies before it has taken over from the one before. */
export async function swappedAndDied(worker: Worker): Promise<void> {
  await worker.request()
  while ((await worker.states())[2] !== 'active') {
    await worker.moveUnits()
    await worker.coordinator.reconcile()
    await new Promise(setImmediate)
  }
  expect((await worker.control.projection('balances'))?.takenOver.size).toBe(0)
  await worker.stop()
}

export async function generationOf(worker: Worker, generation: number): Promise<Generation | undefined> {
  const state = await worker.control.projection('balances')
  return state?.generations.find((one) => one.generation === generation)
}
