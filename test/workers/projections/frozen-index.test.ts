import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { viewPath } from '../../../src/config/paths.ts'
import { openSqliteControl } from '../../../src/control/sqlite/control-store.ts'
import { defineApp } from '../../../src/kernel/app.ts'
import type { ProjectionDefinition } from '../../../src/kernel/projection.ts'
import { openSqliteView } from '../../../src/projection/sqlite/view-store.ts'
import { openReaders } from '../../../src/workers/projections/open-readers.ts'
import { type Balance, balances } from '../../support/ledger-app.ts'
import { tempFolder } from '../../support/temp-folder.ts'

/** A search in a view that is served in `served`, by code that defines `defined` and one more index than the view has. */
async function searched(by: string, { served, defined }: { served: number; defined: number }) {
  const data = tempFolder()
  mkdirSync(join(data, 'views'))
  const before: ProjectionDefinition<Balance> = { ...balances(), version: served, indexes: ['balance'] }
  openSqliteView(viewPath(data, 'balances'), before).close()
  const after: ProjectionDefinition<Balance> = {
    ...balances(),
    version: defined,
    indexes: ['balance', 'moves'],
  }
  const app = defineApp({ name: 'ledger', deciders: [], projections: [after as ProjectionDefinition] })
  const first = openSqliteControl({ path: join(data, 'control.db') })
  await first.adopt({ projection: 'balances', generation: 1, version: served, partitions: 1 })
  await first.close()
  const { readers, control } = await openReaders(app, data)
  onTestFinished(async () => {
    await readers.close()
    await control.close()
  })
  return readers.use('balances', ({ view }) => view.find({ by, limit: 10 }))
}

test.each([
  { served: 1, defined: 2 },
  { served: 2, defined: 1 },
])(
  'a search by a field that the served version ($served) may not have is refused, and does not find nothing',
  async (versions) => {
    await expect(searched('moves', versions)).rejects.toMatchObject({
      code: 'CQRS_VIEW_BEHIND',
      message: expect.stringContaining(`in version ${versions.served}, which has no index on "moves"`),
    })
    expect(await searched('balance', versions)).toMatchObject({ items: [] })
  },
)

test('an index that is only not made yet keeps no search from its documents', async () => {
  expect(await searched('moves', { served: 1, defined: 1 })).toMatchObject({ items: [] })
})
