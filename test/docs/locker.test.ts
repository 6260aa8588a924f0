import { given, project } from 'iii-durable-cqrs/testing'
import { expect, test } from 'vitest'
import { locker, parcels, pickupNotice } from './example-app.ts'

const parcel = (id: string) => ({ locker: 'station-1', parcel: id, recipient: 'ada@example.com' })
const installed = { type: 'locker-installed', data: { locker: 'station-1', boxes: 1 } } as const

test('a full locker takes no further parcel', () => {
  given(locker, installed, { type: 'parcel-deposited', data: parcel('p-1') })
    .when('deposit-parcel', parcel('p-2'))
    .thenRejected('locker_full')
})

test('a parcel that is collected leaves its box to the next one', () => {
  given(
    locker,
    installed,
    { type: 'parcel-deposited', data: parcel('p-1') },
    { type: 'parcel-collected', data: parcel('p-1') },
  )
    .when('deposit-parcel', parcel('p-2'))
    .thenEvents({ type: 'parcel-deposited', data: parcel('p-2') })
})

test('nobody collects what is not inside', () => {
  given(locker, installed)
    .when('collect-parcel', { locker: 'station-1', parcel: 'constructor' })
    .thenRejected('no_such_parcel')
})

test('the list of parcels says since when one waits', () => {
  const recordedAt = '2026-03-01T09:30:00.000Z'
  const list = project(parcels, { type: 'parcel-deposited', data: parcel('p-1'), recordedAt })
  expect(list.get('station-1/p-1')).toMatchObject({ status: 'waiting', since: recordedAt })
})

test('a recipient is told of the first parcel, not of further ones', () => {
  const { effects } = project(
    pickupNotice,
    { type: 'parcel-deposited', data: parcel('p-1') },
    { type: 'parcel-deposited', data: parcel('p-2') },
  )
  expect(effects).toEqual([{ kind: 'publish', topic: 'parcels.ready', data: parcel('p-1') }])
})

test('parcels of the first version are still read', () => {
  const { recipient: email, ...rest } = parcel('p-1')
  const old = { type: 'parcel-deposited', schemaVersion: 1, data: { ...rest, email } } as const
  expect(project(parcels, old).get('station-1/p-1')).toMatchObject({ recipient: email })
})
