import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/kernel/errors.ts'
import { EXIT } from '../../src/supervisor/exit-codes.ts'

const rows = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2, -2).split(' | '))

test('docs/errors.md has every error of the registry as it is, and no other', () => {
  const documented = rows
    .filter(([code]) => code?.startsWith('`CQRS_'))
    .map(([code, status, retry, meaning]) => [
      code,
      { httpStatus: Number(status), retry: retry === 'yes', meaning },
    ])
  const registered = Object.entries(ERRORS).map(([code, error]) => [`\`${code}\``, { ...error }])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(registered))
  expect(documented).toHaveLength(registered.length)
})

test('docs/errors.md says for every error what to do', () => {
  const advice = rows.filter(([code]) => code?.startsWith('`CQRS_')).map((row) => row[4] ?? '')
  expect(advice.every((text) => text.length > 20)).toBe(true)
})

test('docs/errors.md has every exit code of the program', () => {
  const documented = rows
    .filter(([code]) => /^\d+$/.test(code ?? ''))
    .map(([code, meaning]) => ({ code: Number(code), meaning }))
  expect(documented).toEqual(Object.values(EXIT))
})
