import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { App } from '../../src/kernel/app.ts'
import { startRebuild } from '../../src/operator/rebuild.ts'
import type { System } from '../../src/operator/system.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

const ada = { by: 'ada', from: 'cli on desk-1' }

/** What operators of code in some version see of a view that is served in version 1. */
async function site() {
  const path = join(tempFolder(), 'control.db')
  const control = openSqliteControl({ path })
  onTestFinished(() => control.close())
  await control.adopt({ projection: 'balances', generation: 1, version: 1, partitions: 1 })
  const code = (version: number, partitions = 1) => {
    const projection = { ...balances(), version, partitions }
    return { control, app: { projections: new Map([['balances', projection]]) } as unknown as App } as System
  }
  return { control, code }
}

test('a rebuild that other code has begun is not joined: this code does not build it', async () => {
  const { control, code } = await site()
  const deployed = await startRebuild(code(2), { projection: 'balances' }, ada)
  expect(deployed).toMatchObject({ generation: 2, joined: false })
  expect(await startRebuild(code(2), { projection: 'balances' }, ada)).toMatchObject({ joined: true })
  for (const back of [code(1), code(2, 3)]) {
    await expect(startRebuild(back, { projection: 'balances' }, ada)).rejects.toMatchObject({
      code: 'CQRS_VALIDATION',
      message: expect.stringMatching(/generation 2 .* version 2 .*--force/i),
    })
  }
  expect(await startRebuild(code(1), { projection: 'balances', force: true }, ada)).toMatchObject({
    generation: 3,
    joined: false,
  })
  expect((await control.projection('balances'))?.generations).toMatchObject([
    { state: 'active' },
    { generation: 2, state: 'cancelling' },
    { generation: 3, state: 'building', version: 1 },
  ])
})

test('a mistyped condition of a rebuild is refused, and nothing is built without it', async () => {
  const { control, code } = await site()
  for (const mistyped of ['requiredParity', 'require_parity', 'untl']) {
    const asked = startRebuild(code(1), { projection: 'balances', [mistyped]: true }, ada)
    const message = expect.stringContaining(`${mistyped}: is not known; leave it out`)
    await expect(asked).rejects.toMatchObject({ code: 'CQRS_VALIDATION', message })
  }
  expect((await control.projection('balances'))?.generations).toHaveLength(1)
})
