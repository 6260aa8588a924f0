import { expect, test } from 'vitest'
import { CqrsError } from '../../../src/kernel/errors.ts'
import { conflict, notFound } from '../../../src/kernel/rejection.ts'
import {
  bodyIssue,
  directInput,
  failed,
  invalidInput,
  isHttpRequest,
  rejected,
  requestInput,
} from '../../../src/workers/link/http.ts'

const request = { trigger: { type: 'http' }, path_params: {}, query_params: {}, headers: {}, body: null }

test('a request of the http trigger is told from a call by another worker', () => {
  expect(isHttpRequest(request)).toBe(true)
  for (const payload of [
    null,
    undefined,
    'x',
    [],
    {},
    { trigger: { type: 'state' }, path_params: {} },
    { sku: 'a' },
  ]) {
    expect(isHttpRequest(payload)).toBe(false)
  }
})

test('the input is the body with the decoded parameters of the path', () => {
  expect(requestInput({ quantity: 1 }, { sku: 'a%2Fb%20%C3%BC' })).toEqual({
    ok: true,
    input: { quantity: 1, sku: 'a/b ü' },
  })
  expect(requestInput(null, { sku: 'a' })).toEqual({ ok: true, input: { sku: 'a' } })
})

test('a parameter that stands in the body as well must say the same', () => {
  expect(requestInput({ sku: 'a' }, { sku: 'a' })).toMatchObject({ ok: true })
  expect(requestInput({ sku: 'b' }, { sku: 'a' })).toMatchObject({ ok: false, issues: [{ field: 'sku' }] })
})

test.each([[[1, 2]], ['text'], [7]])('a body that is no object (%j) is refused', (body) => {
  expect(requestInput(body, {})).toMatchObject({ ok: false, issues: [{ field: '(input)' }] })
})

test('a body that was sent and of which the engine hands over nothing is not taken for none', () => {
  const issue = (headers: Record<string, string>) => bodyIssue({ ...request, headers })?.field
  const json = { 'content-type': 'application/json; charset=utf-8' }
  expect(issue({})).toBe(undefined)
  expect(issue({ ...json, 'content-length': '0' })).toBe(undefined)
  expect(issue({ ...json, 'content-length': '3' })).toBe('(input)')
  expect(issue({ ...json, 'transfer-encoding': 'chunked' })).toBe('(input)')
  expect(issue({ 'content-length': '3' })).toBe('Content-Type')
  expect(bodyIssue({ ...request, headers: { ...json, 'content-length': '2' }, body: {} })).toBe(undefined)
})

test('a body of another type is refused, though the engine takes it for JSON', () => {
  const issue = (type: string) =>
    bodyIssue({ ...request, headers: { 'content-type': type, 'content-length': '2' }, body: {} })?.field
  expect(issue('application/json')).toBe(undefined)
  expect(issue('Application/JSON ; charset=utf-8')).toBe(undefined)
  // A browser sends these for a page of any site, without asking the server first.
  for (const type of ['text/plain; x=application/json', 'multipart/form-data; boundary=application/json']) {
    expect(issue(type)).toBe('Content-Type')
  }
})

test('a parameter that is not valid percent-encoding is refused by name', () => {
  expect(requestInput({}, { sku: '%ZZ' })).toMatchObject({ ok: false, issues: [{ field: 'sku' }] })
})

test('a body with __proto__ sets no prototype', () => {
  const body = JSON.parse('{"__proto__":{"admin":true},"quantity":1}')
  const merged = requestInput(body, { sku: 'a' })
  expect(merged.ok && (merged.input as { admin?: unknown }).admin).toBe(undefined)
  expect(({} as { admin?: unknown }).admin).toBe(undefined)
})

test('what the engine adds to a call is not part of the input', () => {
  expect(directInput({ sku: 'a', _caller_worker_id: 'w' })).toEqual({ sku: 'a' })
  expect(directInput('text')).toBe('text')
})

test('outcomes have the status that HTTP has for them', () => {
  expect(rejected(notFound('unknown_item', 'no such item')).status_code).toBe(404)
  expect(rejected(conflict('duplicate_sku', 'there is one'))).toMatchObject({
    status_code: 409,
    body: { error: { code: 'duplicate_sku', message: 'there is one' } },
  })
  expect(invalidInput([{ field: 'sku', problem: 'is missing' }])).toMatchObject({
    status_code: 400,
    body: { error: { code: 'CQRS_VALIDATION', message: 'sku: is missing' } },
  })
})

test('what does not fit an input is listed in one place, whether a schema found it or an operation', () => {
  const issues = [{ field: 'sku', problem: 'is missing' }]
  expect(invalidInput(issues)).toMatchObject({ body: { error: { issues } } })
  const thrown = new CqrsError('CQRS_VALIDATION', 'sku: is missing', { details: { issues } })
  expect(failed(thrown)).toMatchObject({ status_code: 400, body: { error: { issues, details: { issues } } } })
  const { body } = failed(new CqrsError('CQRS_VALIDATION', 'is being built with other options'))
  expect(body).toEqual({
    error: { code: 'CQRS_VALIDATION', message: 'is being built with other options', details: {} },
  })
})

test('a store that is down is a 503 that says when to come back, without the cause', () => {
  const error = new CqrsError('CQRS_STORE_FULL', 'The disk is full.', { cause: new Error('/secret/path') })
  const response = failed(error)
  expect(response).toMatchObject({ status_code: 503, headers: { 'Retry-After': '1' } })
  expect(JSON.stringify(response)).not.toContain('secret')
})

test('an error that is none of ours is left to the engine', () => {
  expect(() => failed(new TypeError('bug'))).toThrow(TypeError)
})
