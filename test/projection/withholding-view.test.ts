import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { WithholdingView } from '../../src/projection/withholding-view.ts'
import { at, effect, put } from '../contract/view.ts'
import { balances } from '../support/ledger-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('withheld effects are checked in parts, however many they are, and those settled elsewhere are dropped', async () => {
  const store = openSqliteView(join(tempFolder(), 'view.db'), balances())
  onTestFinished(() => store.close())
  let settled = 0
  const asked: number[] = []
  const view = new WithholdingView(store, async (positions) => {
    asked.push(positions.length)
    return new Set(positions.filter((position) => position > settled))
  })
  let position = 0
  const apply = async () => {
    const from = position
    position += 1_000
    const effects = Array.from({ length: 1_000 }, (_, index) => effect(from + index + 1))
    await put(view, { advanceTo: at(position), effects })
  }
  for (let batch = 0; batch < 8; batch += 1) await apply()
  expect(await store.withheldAfter(0, 1e6)).toHaveLength(8_000)
  settled = 8_000
  for (let batch = 0; batch < 10; batch += 1) await apply()
  expect((await store.withheldAfter(0, 1e6))[0]).toBe(8_001)
  expect(Math.max(...asked)).toBe(2_000)
})
