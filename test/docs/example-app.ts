import {
  conflict,
  defineApp,
  defineDecider,
  defineEvent,
  defineLogQuery,
  defineProjection,
  defineQuery,
  defineReactor,
  notFound,
} from 'iii-durable-cqrs'
import { z } from 'zod'

/** A short name that is safe in a URL and in a key. */
const id = z.string().regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -')

const LockerInstalled = defineEvent({
  type: 'locker-installed',
  schema: z.object({ locker: id, boxes: z.int().min(1) }),
})

const depositedV1 = z.object({ locker: id, parcel: id, email: z.string() })

const ParcelDeposited = defineEvent({
  type: 'parcel-deposited',
  version: 2,
  schema: z.object({ locker: id, parcel: id, recipient: z.string() }),
  upcasters: {
    1: (data) => {
      const { email, ...rest } = depositedV1.parse(data)
      return { ...rest, recipient: email }
    },
  },
})

const ParcelCollected = defineEvent({
  type: 'parcel-collected',
  schema: z.object({ locker: id, parcel: id, recipient: z.string() }),
})

interface Locker {
  readonly boxes: number
  /** Who each parcel inside is for. */
  readonly inside: Readonly<Record<string, string>>
}

const stream = ({ locker }: { locker: string }) => `locker-${locker}`

export const locker = defineDecider({
  name: 'locker',
  events: [LockerInstalled, ParcelDeposited, ParcelCollected],
  initialState: (): Locker => ({ boxes: 0, inside: {} }),
})
  .evolve({
    'locker-installed': (state, { data }) => ({ ...state, boxes: data.boxes }),
    'parcel-deposited': (state, { data }) => ({
      ...state,
      inside: { ...state.inside, [data.parcel]: data.recipient },
    }),
    'parcel-collected': (state, { data }) => {
      const { [data.parcel]: _, ...inside } = state.inside
      return { ...state, inside }
    },
  })
  .commands({
    'install-locker': {
      schema: z.strictObject({ locker: id, boxes: z.int().min(1).max(200) }),
      http: { method: 'POST', path: '/lockers', status: 201 },
      stream,
      decide: (command, state) =>
        state.boxes === 0
          ? [{ type: 'locker-installed', data: command }]
          : conflict('locker_exists', `There is a locker ${command.locker} already.`),
    },
    'deposit-parcel': {
      schema: z.strictObject({ locker: id, parcel: id, recipient: z.email() }),
      http: { method: 'POST', path: '/lockers/:locker/parcels', status: 201 },
      stream,
      decide: (command, state) => {
        if (state.boxes === 0) return unknownLocker(command.locker)
        if (Object.hasOwn(state.inside, command.parcel)) {
          return conflict('parcel_inside', `The parcel ${command.parcel} is in the locker already.`)
        }
        if (Object.keys(state.inside).length === state.boxes) {
          return conflict('locker_full', `All ${state.boxes} boxes are taken.`, { boxes: state.boxes })
        }
        return [{ type: 'parcel-deposited', data: command }]
      },
    },
    'collect-parcel': {
      schema: z.strictObject({ locker: id, parcel: id }),
      http: { method: 'POST', path: '/lockers/:locker/parcels/:parcel/collect' },
      stream,
      decide: (command, state) => {
        const recipient = Object.hasOwn(state.inside, command.parcel) && state.inside[command.parcel]
        if (!recipient)
          return notFound('no_such_parcel', `The parcel ${command.parcel} is not in the locker.`)
        return [{ type: 'parcel-collected', data: { ...command, recipient } }]
      },
    },
  })

function unknownLocker(locker: string) {
  return notFound('unknown_locker', `There is no locker ${locker}.`)
}

interface Parcel {
  readonly locker: string
  readonly parcel: string
  readonly recipient: string
  readonly status: 'waiting' | 'collected'
  /** ISO 8601. */
  readonly since: string
}

const parcelKey = ({ locker, parcel }: { locker: string; parcel: string }) => `${locker}/${parcel}`
const key = ({ data }: { data: { locker: string; parcel: string } }) => parcelKey(data)

export const parcels = defineProjection({
  name: 'parcels',
  events: [ParcelDeposited, ParcelCollected],
  initial: (_key: string): Parcel => ({
    locker: '',
    parcel: '',
    recipient: '',
    status: 'waiting',
    since: '',
  }),
  indexes: ['recipient', 'since'],
}).on({
  'parcel-deposited': {
    key,
    apply: (_, { data, recordedAt }) => ({ ...data, status: 'waiting', since: recordedAt }),
  },
  'parcel-collected': {
    key,
    apply: (parcel, { recordedAt }) => ({ ...parcel, status: 'collected', since: recordedAt }),
  },
})

export const pickupNotice = defineReactor({
  name: 'pickup-notice',
  events: [ParcelDeposited, ParcelCollected],
  initial: (_key: string) => ({ waiting: 0 }),
}).on({
  'parcel-deposited': {
    key: ({ data }) => `${data.locker}/${data.recipient}`,
    apply: (memory, { data }, emit) => {
      if (memory.waiting === 0) emit({ kind: 'publish', topic: 'parcels.ready', data })
      return { waiting: memory.waiting + 1 }
    },
  },
  'parcel-collected': {
    key: ({ data }) => `${data.locker}/${data.recipient}`,
    apply: (memory) => (memory.waiting > 1 ? { waiting: memory.waiting - 1 } : null),
  },
})

const limit = z.coerce.number().pipe(z.int().min(1).max(100)).default(20)

export const listParcels = defineQuery({
  name: 'list-parcels',
  reads: parcels,
  http: { method: 'GET', path: '/parcels' },
  input: z.strictObject({ recipient: z.email().optional(), limit, cursor: z.string().optional() }),
  run: (view, { recipient, ...page }) =>
    recipient
      ? view.find({ by: 'recipient', equals: recipient, ...page })
      : view.find({ by: 'since', order: 'descending', ...page }),
})

export const getParcel = defineQuery({
  name: 'get-parcel',
  reads: parcels,
  http: { method: 'GET', path: '/lockers/:locker/parcels/:parcel' },
  input: z.strictObject({ locker: id, parcel: id }),
  run: async (view, input) =>
    (await view.get(parcelKey(input))) ??
    notFound('unknown_parcel', `Nobody knows the parcel ${input.parcel}.`),
})

export const lockerHistory = defineLogQuery({
  name: 'locker-history',
  http: { method: 'GET', path: '/lockers/:locker/history' },
  input: z.strictObject({ locker: id, limit }),
  run: (log, { locker, limit }) => log.history(stream({ locker }), { limit }),
})

export default defineApp({
  name: 'lockers',
  deciders: [locker],
  projections: [parcels],
  reactors: [pickupNotice],
  queries: [listParcels, getParcel, lockerHistory],
})
