import { appendFileSync, existsSync } from 'node:fs'
import { z } from 'zod'
import { defineApp } from '../../src/kernel/app.ts'
import { defineDecider } from '../../src/kernel/decider.ts'
import { defineEvent } from '../../src/kernel/event.ts'
import { defineProjection } from '../../src/kernel/projection.ts'
import { defineQuery } from '../../src/kernel/query.ts'

const name = z.string()
const Knocked = defineEvent({ type: 'knocked', schema: z.object({ name }) })

const door = defineDecider({ name: 'door', events: [Knocked], initialState: () => 0 })
  .evolve({ knocked: (knocks) => knocks + 1 })
  .commands({
    knock: {
      schema: z.strictObject({ name }),
      http: { method: 'POST', path: '/doors/:name' },
      stream: (command) => `door-${command.name}`,
      decide: (command) => [{ type: 'knocked', data: command }],
    },
  })

/** Notes each try of a shut door in the file $TRIES; it stays shut while there is no file $TRIES.open. */
const doors = defineProjection({
  name: 'doors',
  events: [Knocked],
  initial: (door: string) => ({ door, knocks: 0 }),
}).on({
  knocked: {
    key: ({ data }) => data.name,
    apply: (document, { data }) => {
      const tries = process.env.TRIES
      if (tries && data.name.startsWith('shut') && !existsSync(`${tries}.open`)) {
        appendFileSync(tries, '.')
        throw new Error('The door stays shut.')
      }
      return { ...document, knocks: document.knocks + 1 }
    },
  },
})

const knocks = defineQuery({
  name: 'knocks',
  reads: doors,
  http: { method: 'GET', path: '/doors/:name' },
  input: z.strictObject({ name }),
  run: (view, { name }) => view.get(name),
})

export default defineApp({ name: 'doors', deciders: [door], projections: [doors], queries: [knocks] })
