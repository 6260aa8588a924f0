import { expect, test } from 'vitest'
import { CqrsError, isCqrsError } from '../../src/kernel/errors.ts'

test('an error is recognised by its code', () => {
  const error = new CqrsError('CQRS_CONFLICT', 'try again', { cause: new Error('below') })
  expect(isCqrsError(error, 'CQRS_CONFLICT')).toBe(true)
  expect(isCqrsError(error, 'CQRS_VALIDATION')).toBe(false)
  expect(isCqrsError(new Error('other'))).toBe(false)
  expect((error.cause as Error).message).toBe('below')
})
