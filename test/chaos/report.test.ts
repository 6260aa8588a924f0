import { expect, test } from 'vitest'
import { reportStorm, spreadOf } from '../../src/chaos/report.ts'
import type { FaultRecord, StormOutcome } from '../../src/chaos/storm.ts'
import { renderReport } from '../../src/operator/cli/chaos-report.ts'

const KNOWN = {
  seed: 42,
  app: 'inventory',
  system: 'temporary',
  leftOut: [],
  planned: 3,
  withLoad: true,
} as const

function fault(number: number, overrides: Partial<FaultRecord> = {}): FaultRecord {
  const recovery = { acceptedMs: 10 * number, zeroLagMs: 100 * number }
  return {
    number,
    kind: 'kill',
    victim: 'queue',
    which: 0,
    atMs: 0,
    forMs: 0,
    beganMs: 1_000 * number,
    together: false,
    recovery,
    ...overrides,
  }
}

const CALM: StormOutcome = {
  ended: 'done',
  faults: [fault(1), fault(2), fault(3, { kind: 'pause', victim: 'engine', forMs: 700, together: true })],
  tookMs: 4_000,
  settled: [],
  inspection: undefined,
  findings: [],
}

test('percentiles are by nearest rank', () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index)
  expect(spreadOf(values)).toEqual({ p50: 100, p99: 198, max: 200 })
  expect(spreadOf([7])).toEqual({ p50: 7, p99: 7, max: 7 })
  expect(spreadOf([])).toBeNull()
})

test('faults are counted by kind and role; only those that came alone say what their kind costs', () => {
  const report = reportStorm(CALM, KNOWN)
  expect(report).toMatchObject({ ok: true, faults: { planned: 3, done: 3 } })
  expect(report.faults.byKind).toEqual({ kill: { queue: 2 }, pause: { engine: 1 } })
  expect(report.recovery.zeroLagMs).toEqual({ p50: 200, p99: 300, max: 300 })
  expect(report.recoveryByKind.kill).toMatchObject({ faults: 2, acceptedMs: { p50: 10, max: 20 } })
  expect(report.recoveryByKind.pause).toMatchObject({ faults: 0, acceptedMs: null })
})

test('a finding makes the storm fail, and people read which seed brings it back', () => {
  const findings = [{ what: 'lost', message: 'k-1 was answered; the log has nothing.' }] as const
  const report = reportStorm({ ...CALM, findings }, KNOWN)
  expect(report.ok).toBe(false)
  const text = renderReport(report).join('\n')
  expect(text).toContain('lost: k-1 was answered')
  expect(text).toContain('cqrs chaos --seed 42')
})

test('people read what was done and that every promise was kept', () => {
  const text = renderReport(reportStorm(CALM, KNOWN)).join('\n')
  expect(text).toContain('3 of 3 faults in 4.0 s')
  expect(text).toMatch(/kill +queue 2 +10 \/ 20 \/ 20 +100 \/ 200 \/ 200/)
  expect(text).toContain('Every promise was kept.')
})
