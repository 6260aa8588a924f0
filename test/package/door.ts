import { defineDecider, defineEvent, defineProjection, defineQuery, notFound } from 'iii-durable-cqrs'
import { given, project } from 'iii-durable-cqrs/testing'
import { z } from 'zod'

const Opened = defineEvent({ type: 'opened', schema: z.object({ by: z.string() }) })

const door = defineDecider({ name: 'door', events: [Opened], initialState: () => false })
  .evolve({ opened: () => true })
  .commands({
    open: {
      schema: z.strictObject({ by: z.string() }),
      stream: () => 'door-1',
      decide: (command, open) =>
        open ? notFound('no_door', 'It is open.') : [{ type: 'opened', data: command }],
    },
  })

const opened = { type: 'opened', data: { by: 'ada' } } as const
given(door).when('open', { by: 'ada' }).thenEvents(opened)
given(door, opened).when('open', { by: 'bob' }).thenRejected('no_door')

// @ts-expect-error There is no such command: the types are there, and are not `any`.
export const wrong = () => given(door).when('close', { by: 'ada' })

const visits = defineProjection({
  name: 'visits',
  events: [Opened],
  initial: (by: string) => ({ by, times: 0 }),
  indexes: ['times'],
}).on({
  opened: { key: ({ data }) => data.by, apply: (visit) => ({ ...visit, times: visit.times + 1 }) },
})

const visit = project(visits, opened).get('ada')
if (visit?.times !== 1) throw new Error('The visit is missing.')

/** What an input leaves open is passed on as it is. */
export const listVisits = defineQuery({
  name: 'list-visits',
  reads: visits,
  input: z.strictObject({ from: z.int().optional(), cursor: z.string().optional() }),
  run: (view, { from, cursor }) => view.find({ by: 'times', from, cursor, limit: 20 }),
})
