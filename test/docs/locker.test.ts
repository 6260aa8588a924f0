import { given } from 'iii-durable-cqrs/testing'
import { test } from 'vitest'
import { locker } from './example-app.ts'

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
