import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { ParkedEvent } from '../../../src/projection/contract.ts'
import { PARKED_LINES_PER_MINUTE, parkedLines } from '../../../src/workers/projections/parked-lines.ts'

const parked = (position: number, rest: Partial<ParkedEvent> = {}): ParkedEvent => ({
  position,
  sequence: 'locker-1',
  type: 'parcel-deposited',
  status: 'retrying',
  attempts: 1,
  dueAt: 0,
  failures: [{ at: '', message: 'no shelf' }],
  parkedAt: '',
  ...rest,
})

function logged() {
  let time = 0
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) })
  const pass = (ms: number) => {
    time += ms
  }
  return { lines, pass, line: parkedLines('parcels', log, () => time) }
}

test('an event is logged when it fails for the first time and when it is dead, and not in between', () => {
  const { lines, line } = logged()
  line([parked(6), parked(7, { status: 'waiting', attempts: 0, failures: [] })])
  line([parked(6, { attempts: 2 })])
  line([parked(6, { attempts: 3, status: 'dead' })])
  const about = {
    letter: 'parked:parcels:6',
    type: 'parcel-deposited',
    sequence: 'locker-1',
    error: 'no shelf',
  }
  expect(lines).toEqual([
    {
      ...about,
      level: 40,
      attempts: 1,
      msg: 'An event could not be applied; it is parked and tried again',
    },
    {
      ...about,
      level: 50,
      attempts: 3,
      msg: 'An event is dead and holds back its sequence; "cqrs dlq show parked:parcels:6" shows it',
    },
  ])
})

test('of many events only so many are logged in a minute, and one line says so', () => {
  const { lines, pass, line } = logged()
  const many = Array.from({ length: 3 * PARKED_LINES_PER_MINUTE }, (_, index) => parked(index + 1))
  line(many)
  line(many)
  expect(lines).toHaveLength(PARKED_LINES_PER_MINUTE + 1)
  expect(lines.at(-1)?.msg).toContain('Further parked events are not logged')
  pass(60_000)
  line([parked(99)])
  expect(lines.at(-1)).toMatchObject({ letter: 'parked:parcels:99' })
})
