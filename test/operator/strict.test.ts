import { expect, test } from 'vitest'
import { exportEvents } from '../../src/operator/events.ts'
import { OPERATIONS } from '../../src/operator/operations.ts'
import type { System } from '../../src/operator/system.ts'

/** A system whose parts may be named, and not be used. */
const untouched = new Proxy({} as System, {
  get: (_target, part) => {
    const used = () => {
      throw new Error(`${String(part)} was used`)
    }
    return new Proxy(used, { get: used })
  },
})

const ada = { by: 'ada', from: 'cli' }
const unknown = {
  code: 'CQRS_VALIDATION',
  message: expect.stringContaining('nmae: is not known; leave it out'),
}

test.each(OPERATIONS.map((operation) => [operation.id, operation] as const))(
  '%s refuses a field that it does not know, and does nothing',
  async (_id, { run }) => {
    await expect(run(untouched, { nmae: 'x' }, ada)).rejects.toMatchObject(unknown)
  },
)

test('an export refuses one, too', async () => {
  await expect(exportEvents(untouched, { nmae: 'x' }).next()).rejects.toMatchObject(unknown)
})

test('a refused field is answered with those there are', async () => {
  const run = async (id: string, input: object) =>
    OPERATIONS.find((each) => each.id === id)
      ?.run(untouched, input, ada)
      .catch((error: Error) => error.message)
  expect(await run('ops::events', { typ: 'a', after: '3' })).toBe(
    'typ: is not known; leave it out. Known fields: after, limit, types, stream.',
  )
  expect(await run('ops::status', { watch: 'true' })).toBe(
    'watch: is not known; leave it out. This operation takes no fields.',
  )
})

test('a field that is missing is said to be missing', async () => {
  const discard = OPERATIONS.find(({ id }) => id === 'ops::dlq-discard')
  await expect(discard?.run(untouched, { id: 'parked:list:1' }, ada)).rejects.toMatchObject({
    code: 'CQRS_VALIDATION',
    message: 'reason: is missing',
  })
})
