import { expect, onTestFinished, test } from 'vitest'
import { RecoveryWatch } from '../../src/chaos/recovery.ts'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import { defineApp } from '../../src/kernel/app.ts'
import { seedInventory } from '../support/seed-inventory.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('without a load, a system has not recovered before each process that it had runs again', async () => {
  const data = tempFolder()
  await seedInventory({ data, events: 3, items: 1 })
  await openSqliteControl({ path: dataPaths(data).control }).close()
  let running: readonly string[] = ['engine', 'commands', 'supervisor']
  const watch = await RecoveryWatch.open(
    {
      data,
      // Without views, nothing else could keep it from having recovered.
      app: defineApp({ name: 'no-views', deciders: [] }),
      pidsOf: (victim) => (running.includes(victim) ? [1] : []),
      ended: new AbortController().signal,
    },
    undefined,
  )
  onTestFinished(() => watch.close())
  running = ['engine', 'supervisor']
  await expect(watch.recovered(performance.now(), 1)).rejects.toThrow('the commands process runs again')
  running = ['engine', 'commands', 'supervisor']
  expect(await watch.recovered(performance.now(), 1)).toMatchObject({ acceptedMs: undefined })
})
