import { defineDecider, defineEvent, notFound } from 'iii-durable-cqrs'
import { given } from 'iii-durable-cqrs/testing'
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
