import { pino } from 'pino'
import { expect, test } from 'vitest'
import { guarded, OpsAccess } from '../../../src/workers/operator/ops-access.ts'

const token = 'a'.repeat(40)
const readToken = 'b'.repeat(40)

function access(failuresPerMinute = 3) {
  let time = 0
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  const checked = new OpsAccess({ token, readToken, failuresPerMinute, log, now: () => time })
  const pass = (ms: number) => {
    time += ms
  }
  return { checked, lines, pass }
}

test('the token opens everything, the read-only token what changes nothing', () => {
  const { checked } = access()
  checked.check(token, 'change')
  checked.check(token, 'read')
  checked.check(readToken, 'read')
  expect(() => checked.check(readToken, 'change')).toThrow(
    expect.objectContaining({ code: 'CQRS_FORBIDDEN' }),
  )
})

test.each([undefined, '', 'guessed', `${token}a`, token.slice(1)])('the token %j opens nothing', (given) => {
  const { checked, lines } = access()
  expect(() => checked.check(given, 'read')).toThrow(expect.objectContaining({ code: 'CQRS_UNAUTHORIZED' }))
  if (given) expect(lines.join()).not.toContain(given)
})

test('too many failures are told to stop, and logged no more; the right token is taken meanwhile', () => {
  const { checked, lines, pass } = access(3)
  const codes = Array.from({ length: 5 }, () => {
    try {
      checked.check('wrong', 'read')
      return 'granted'
    } catch (error) {
      return (error as { code: string }).code
    }
  })
  const [refused, limited] = ['CQRS_UNAUTHORIZED', 'CQRS_TOO_MANY_FAILURES']
  expect(codes).toEqual([refused, refused, refused, limited, limited])
  expect(lines).toHaveLength(3)
  checked.check(token, 'change')
  pass(60_000)
  expect(() => checked.check('wrong', 'read')).toThrow(expect.objectContaining({ code: refused }))
})

test('a guarded function runs for a call that shows the token, and names its refusals', async () => {
  const { checked } = access()
  let runs = 0
  const offered = { id: 'ops::parked::redrive', description: '', handle: async () => ++runs }
  const [handle] = guarded([offered], checked).map((each) => each.handle)
  await expect(handle?.({}, undefined)).rejects.toThrow(/^CQRS_UNAUTHORIZED: /)
  await expect(handle?.({ token }, { token: readToken })).rejects.toThrow(/^CQRS_FORBIDDEN: /)
  expect(runs).toBe(0)
  await handle?.({}, { token })
  expect(runs).toBe(1)
})

test('a secret is taken out of texts, keys and lists; what has none is given back as it is', () => {
  const workerSecret = `"${'\\'.repeat(40)}`
  const checked = new OpsAccess({
    token,
    readToken,
    workerSecret,
    failuresPerMinute: 3,
    log: pino({ enabled: false }),
    now: () => 0,
  })
  const clean = { reason: 'a'.repeat(39), many: [1, null] }
  expect(checked.redact(clean)).toBe(clean)
  expect(checked.redact(undefined)).toBeUndefined()
  expect(checked.redact({ reason: `it is ${token}.`, [readToken]: [workerSecret, 2] })).toEqual({
    reason: 'it is [secret].',
    '[secret]': ['[secret]', 2],
  })
})
