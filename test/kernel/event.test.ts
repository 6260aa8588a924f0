import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvent, EventCatalog, type RecordedEvent } from '../../src/kernel/event.ts'

const first = z.object({ email: z.string() })

const Moved = defineEvent({
  type: 'moved',
  version: 2,
  schema: z.object({ recipient: z.string(), kind: z.enum(['in', 'out']) }),
  upcasters: { 1: (data) => ({ recipient: first.parse(data).email, kind: 'in' }) },
})

test.each([
  ['its schema', 2, {}, 'recipient: is missing; kind: is missing.'],
  ['a schema that its upcaster calls', 1, {}, 'email: Invalid input: expected string, received undefined.'],
  ['the version that the app knows', 3, {}, 'was stored with version 3; this app knows 2.'],
])('a stored event that does not fit %s is described in one line', (_what, schemaVersion, data, says) => {
  const event = { type: 'moved', schemaVersion, data } as unknown as RecordedEvent
  const outcome = new EventCatalog([Moved]).decode(event)
  expect(outcome).toMatchObject({ ok: false, error: expect.stringContaining(says) })
  expect(outcome).not.toMatchObject({ error: expect.stringContaining('\n') })
})
