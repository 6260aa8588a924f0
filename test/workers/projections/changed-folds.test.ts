import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { openSqliteControl } from '../../../src/control/sqlite/control-store.ts'
import { defineApp } from '../../../src/kernel/app.ts'
import { defineEvent } from '../../../src/kernel/event.ts'
import { defineProjection, type ProjectionDefinition } from '../../../src/kernel/projection.ts'
import { tellOfChangedFolds } from '../../../src/workers/projections/changed-folds.ts'
import { tempFolder } from '../../support/temp-folder.ts'

const schema = z.object({ owner: z.string(), cents: z.int() })
const Saved = defineEvent({ type: 'saved', schema })
const SavedLater = defineEvent({
  type: 'saved',
  version: 2,
  schema,
  upcasters: { 1: (data) => ({ cents: 0, ...(data as object) }) },
})

interface Options {
  version?: number
  partitions?: number
  events?: readonly [typeof Saved]
  initial?: (owner: string) => { owner: string; cents: number }
  apply?: (document: { owner: string; cents: number }, event: { data: { cents: number } }) => typeof document
}

function balances({ version = 1, partitions = 1, events = [Saved], initial, apply }: Options = {}) {
  return defineProjection({
    name: 'balances',
    version,
    partitions,
    events,
    initial: initial ?? ((owner: string) => ({ owner, cents: 0 })),
  }).on({
    saved: {
      key: ({ data }) => data.owner,
      apply: apply ?? ((document, { data }) => ({ ...document, cents: document.cents + data.cents })),
    },
  })
}

const doubled: Options['apply'] = (document, { data }) => ({
  ...document,
  cents: document.cents + 2 * data.cents,
})

/** @returns what each start with such a projection says */
async function site() {
  const control = openSqliteControl({ path: join(tempFolder(), 'control.db') })
  onTestFinished(() => control.close())
  await control.adopt({ projection: 'balances', generation: 1, version: 1, partitions: 1 })
  return async (projection: ProjectionDefinition<never> | ReturnType<typeof balances>) => {
    const told: string[] = []
    const log = pino({ level: 'warn' }, { write: (line) => void told.push(JSON.parse(line).msg) })
    const app = defineApp({ name: 'bank', deciders: [], projections: [projection as ProjectionDefinition] })
    await tellOfChangedFolds(app, control, log)
    return told
  }
}

test.each<[string, Options]>([
  ['handler', { apply: doubled }],
  ['initial document', { initial: (owner) => ({ owner, cents: 1 }) }],
])(
  'a changed %s without a new version is told of once, and again when it is taken back',
  async (_, changed) => {
    const start = await site()
    expect(await start(balances())).toEqual([])
    expect(await start(balances())).toEqual([])
    expect(await start(balances(changed))).toEqual([
      expect.stringMatching(
        /^The code of balances was changed, but not its version.*"cqrs rebuild balances"$/,
      ),
    ])
    expect(await start(balances(changed))).toEqual([])
    expect(await start(balances())).toHaveLength(1)
  },
)

test('a new version of an event is no change of the views that have it', async () => {
  const start = await site()
  expect(await start(balances())).toEqual([])
  expect(await start(balances({ events: [SavedLater as unknown as typeof Saved] }))).toEqual([])
})

test('a change that has the view rebuilt is not told of', async () => {
  const start = await site()
  expect(await start(balances())).toEqual([])
  expect(await start(balances({ version: 2, apply: doubled }))).toEqual([])
  // The operator went back, and the earlier version is what it was.
  expect(await start(balances())).toEqual([])
  expect(await start(balances({ partitions: 2, apply: doubled }))).toEqual([])
})
