import { describe, expect, test } from 'vitest'
import { FAULT_KINDS, type ScheduleOptions, schedule, VICTIMS } from '../../src/chaos/schedule.ts'

const ALL: ScheduleOptions = {
  kinds: FAULT_KINDS,
  victims: VICTIMS,
  faults: 200,
  perMinute: 60,
  longMs: 5_000,
}

const faultsOf = (seed: number, options: Partial<ScheduleOptions> = {}) =>
  schedule(seed, { ...ALL, ...options }).flatMap(({ faults }) => faults)

test('the same seed gives the same faults, another one gives others', () => {
  expect(schedule(7, ALL)).toEqual(schedule(7, ALL))
  expect(schedule(8, ALL)).not.toEqual(schedule(7, ALL))
})

test('this seed gives these faults for good: a storm of the past can be had again', () => {
  const faults = faultsOf(42, { faults: 4 })
  expect(faults.map(({ kind, victim, forMs }) => `${kind} ${victim} ${forMs}`)).toEqual([
    'disk-full all 6865',
    'kill supervisor 0',
    'pause commands 6219',
    'wipe queue 0',
  ])
})

test('there are as many faults as were asked for, numbered in their order', () => {
  for (const faults of [1, 13, 200]) {
    expect(faultsOf(3, { faults }).map(({ number }) => number)).toEqual(
      Array.from({ length: faults }, (_, index) => index + 1),
    )
  }
})

test('every kind comes as often as any other, and hits everyone whom it can hit', () => {
  const faults = faultsOf(11, { faults: 7 * 30 })
  for (const kind of FAULT_KINDS) expect(faults.filter((fault) => fault.kind === kind)).toHaveLength(30)
  const hit = new Set(faults.map(({ kind, victim }) => `${kind} ${victim}`))
  for (const victim of VICTIMS)
    expect([...hit]).toEqual(expect.arrayContaining([`kill ${victim}`, `pause ${victim}`]))
  for (const victim of ['queue', 'projections', 'commands', 'queries']) {
    expect([...hit]).toEqual(
      expect.arrayContaining([`cut ${victim}`, `stall ${victim}`, `half-open ${victim}`]),
    )
  }
  expect(hit.size).toBe(2 * 6 + 3 * 4 + 2)
})

test('only chosen kinds hit only chosen roles', () => {
  const faults = faultsOf(5, { kinds: ['kill', 'stall'], victims: ['queue', 'engine'] })
  expect(new Set(faults.map(({ kind, victim }) => `${kind} ${victim}`))).toEqual(
    new Set(['kill queue', 'kill engine', 'stall queue']),
  )
})

test('kinds that can hit none of the chosen roles leave nothing to do', () => {
  expect(schedule(5, { ...ALL, kinds: ['cut', 'wipe'], victims: ['engine'] })).toEqual([])
})

describe('in a long storm', () => {
  const rounds = schedule(1, { ...ALL, faults: 2_000 })
  const faults = rounds.flatMap((round) => round.faults)

  test('some faults last beyond every timeout, most are short, and what is over at once has no length', () => {
    const lasting = faults.filter(({ kind }) => ['pause', 'stall', 'disk-full'].includes(kind))
    const long = lasting.filter(({ forMs }) => forMs >= ALL.longMs)
    expect(long.length / lasting.length).toBeGreaterThan(0.1)
    expect(long.length / lasting.length).toBeLessThan(0.3)
    expect(Math.min(...lasting.map(({ forMs }) => forMs))).toBeGreaterThanOrEqual(50)
    expect(faults.filter((fault) => !lasting.includes(fault)).every(({ forMs }) => forMs === 0)).toBe(true)
  })

  test('faults come alone and together', () => {
    const sizes = new Set(rounds.map((round) => round.faults.length))
    expect(sizes).toEqual(new Set([1, 2, 3]))
  })

  test('they come at the rate that was asked for, if the system recovers at once', () => {
    const waits = rounds.reduce((sum, { waitMs }) => sum + waitMs, 0)
    expect(waits / faults.length).toBeGreaterThan(900)
    expect(waits / faults.length).toBeLessThan(1_100)
  })
})
