import { mkdirSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../../src/config/paths.ts'
import { openSqliteViewReader } from '../../../src/projection/sqlite/view-reader.ts'
import { Turns } from '../../../src/projection/turns.ts'
import { liveUnit, projection } from '../../support/live-unit.ts'
import { until } from '../../support/until.ts'

test('what cannot be decided for a view as a whole keeps no unit from its own work, and is said once', async () => {
  const { data, control, lines, open, generation } = await liveUnit()
  // Of other code, which split it otherwise: nobody's unit removes it, and its file cannot be removed.
  const strange = { projection: 'troubled', version: 1, partitions: 3, by: 'test' } as const
  await control.request({ ...strange, purpose: 'serve' })
  mkdirSync(viewPath(data, 'troubled', { generation: 2, partition: { index: 0, count: 3 } }), {
    recursive: true,
  })
  await open()
  await until('it cannot be removed', () => lines.length > 0)
  await control.request({ ...strange, partitions: 1, purpose: 'inspect', until: 0 })
  await until(
    'another one is built meanwhile',
    async () => (await generation(3))?.parts[0]?.phase === 'following',
  )
  expect(await generation(2)).toMatchObject({ state: 'cancelling' })
  expect(lines).toEqual(['The generations could not be coordinated; trying again'])
})

test('the events of a view are counted once, though the generation before is kept up to date beside it', async () => {
  const { events, control, metrics, open, generation } = await liveUnit()
  let version = 0
  const append = async () => {
    const moved = { type: 'moved', schemaVersion: 1, data: { account: 'ada', amount: 1 } }
    const metadata = { commandId: `c${version}`, correlationId: 'c' }
    await events.append({ stream: 'ada', expectedVersion: version, events: [moved, moved], metadata })
    version += 2
  }
  const counted = async () => {
    const { values = [] } = (await metrics.registry.getSingleMetric('cqrs_apply_batch_events')?.get()) ?? {}
    return (values as { metricName?: string; value: number }[]).find(({ metricName }) =>
      metricName?.endsWith('_sum'),
    )?.value
  }
  await append()
  await open()
  await until('the first are applied', async () => (await counted()) === 2)
  await control.request({ projection: 'troubled', version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  await until('the first generation is kept', async () => (await generation(1))?.state === 'previous')
  await append()
  await until('the next are applied', async () => Number(await counted()) > 2)
  await control.request({ projection: 'troubled', version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  // By then both have applied all of them.
  await until('another one serves', async () => (await generation(1))?.state === 'retired')
  expect(await counted()).toBe(4)
})

test('an event that no handler can apply is logged once it is dead, though another generation fails on it, too', async () => {
  const { data, events, control, lines, open, generation } = await liveUnit({
    env: { CQRS_PROJECTIONS_MAX_ATTEMPTS: '1' },
  })
  await open()
  await control.request({ projection: 'troubled', version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  await until('the first generation is kept', async () => (await generation(1))?.state === 'previous')
  const moved = { type: 'moved', schemaVersion: 1, data: { account: 'throws', amount: 1 } }
  const metadata = { commandId: 'c', correlationId: 'c' }
  await events.append({ stream: 'throws', expectedVersion: 0, events: [moved], metadata })
  const kept = openSqliteViewReader(viewPath(data, 'troubled'), projection)
  onTestFinished(() => kept.close())
  await until('both have parked it', async () => (await kept.position()) === 1 && lines.length > 0)
  expect(lines).toEqual([expect.stringContaining('"cqrs dlq show parked:troubled:1"')])
})

test('a build leaves the processor to the live view while that is more than a batch behind', async () => {
  const turns = new Turns()
  const { events, control, open } = await liveUnit({ env: { CQRS_PROJECTIONS_BATCH_SIZE: '1' }, turns })
  await events.append({
    stream: 'ada',
    expectedVersion: 0,
    events: Array.from({ length: 1_000 }, () => ({
      type: 'moved',
      schemaVersion: 1,
      data: { account: 'ada', amount: 1 },
    })),
    metadata: { commandId: 'c', correlationId: 'c' },
  })
  const positions: number[] = []
  const { progress } = control
  control.progress = async (...given) => {
    positions.push(given[3].position)
    return progress.apply(control, given)
  }
  await control.request({ projection: 'troubled', version: 1, partitions: 1, purpose: 'serve', by: 'test' })
  // The live view is behind until its turn comes.
  const behind = Promise.withResolvers<void>()
  void turns.run(() => behind.promise)
  await open()
  // It waits 10 ms after each batch and reports every 200 ms, however fast or slow the machine is.
  const steps = () => positions.slice(1).map((position, index) => position - Number(positions[index]))
  try {
    await until('it waits after each batch', () =>
      steps().some((step, index) => isSlow(step) && isSlow(steps()[index + 1])),
    )
  } finally {
    behind.resolve()
  }
})

function isSlow(batches = 0): boolean {
  return batches > 0 && batches <= 25
}
