import { expect, test } from 'vitest'
import { ProcessReport } from '../../../src/workers/process/process-report.ts'

test('how long ago damage was met does not depend on what was done to the clock since', () => {
  const clock = { wall: Date.UTC(2026, 0, 1, 12), monotonic: 1_000 }
  const report = new ProcessReport(
    () => new Date(clock.wall),
    () => clock.monotonic,
  )
  report.stands('commands', 'at work')
  report.met('commands', { message: 'A page is damaged.', goesOn: false })
  clock.wall -= 3_600_000
  clock.monotonic += 31_000
  const damage = {
    message: 'A page is damaged.',
    at: '2026-01-01T12:00:00.000Z',
    agoMs: 31_000,
    goesOn: false,
  }
  expect(report.self.roles).toMatchObject([{ role: 'commands', damage }])
})
