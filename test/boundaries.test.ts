import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { BOUNDARIES, type Boundary, boundaryChannel, reached, reachedNextTurn } from '../src/boundaries.ts'

function listenTo(boundary: Boundary): unknown[] {
  const heard: unknown[] = []
  const listener = (message: unknown) => void heard.push(message)
  subscribe(boundaryChannel(boundary), listener)
  onTestFinished(() => void unsubscribe(boundaryChannel(boundary), listener))
  return heard
}

test('a listener hears of its boundary, and of what it is about', async () => {
  const heard = listenTo('batch-read')
  reached('batch-read', 'inventory-list')
  reached('batch-stored', 'inventory-list')
  expect(heard).toEqual([{ boundary: 'batch-read', of: 'inventory-list' }])
})

test('a boundary of the next turn is reached after what this turn sends', async () => {
  const heard = listenTo('command-answered')
  reachedNextTurn('command-answered')
  await Promise.resolve()
  expect(heard).toEqual([])
  await nextTurn()
  expect(heard).toEqual([{ boundary: 'command-answered', of: undefined }])
})

test('where nobody listens a boundary leaves nothing to be done', () => {
  const before = process.getActiveResourcesInfo().length
  for (const boundary of Object.keys(BOUNDARIES) as Boundary[]) {
    reached(boundary)
    reachedNextTurn(boundary)
  }
  expect(process.getActiveResourcesInfo()).toHaveLength(before)
})

test('every boundary lies on the way of something', () => {
  const src = join(import.meta.dirname, '..', 'src')
  const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'boundaries.ts')
    .map((file) => readFileSync(join(src, file), 'utf8'))
    .join('\n')
  expect(Object.keys(BOUNDARIES).filter((boundary) => !sources.includes(`'${boundary}'`))).toEqual([])
})
