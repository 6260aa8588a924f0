import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readOrCreateSecretFile, readSecretFile } from '../../src/config/secret-file.ts'
import { readSecrets } from '../../src/config/secrets.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('a secret is made once, for this user alone, and stays', () => {
  const path = join(tempFolder(), 'data', 'ops.token')
  expect(readSecretFile(path)).toBeUndefined()
  const { secret } = readOrCreateSecretFile(path)
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readOrCreateSecretFile(path)).toEqual({ secret, wasExposed: false })
})

test('processes that start at the same moment get the same secret', async () => {
  const folder = tempFolder()
  const path = join(folder, 'ops.token')
  const module = new URL('../../src/config/secret-file.ts', import.meta.url).href
  // Each waits for the same tick, so that they meet.
  const at = Date.now() + 2_000
  const script = `
    const { readOrCreateSecretFile } = await import(${JSON.stringify(module)})
    while (Date.now() < ${at}) {}
    process.stdout.write(readOrCreateSecretFile(${JSON.stringify(path)}).secret)`
  const secrets = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
      await once(child, 'close')
      return text
    }),
  )
  expect(new Set(secrets)).toEqual(new Set([readFileSync(path, 'utf8').trim()]))
  expect(readdirSync(folder)).toEqual(['ops.token'])
})

test('a secret that others could read is closed to them, and said', () => {
  const path = join(tempFolder(), 'ops.token')
  readOrCreateSecretFile(path)
  chmodSync(path, 0o644)
  expect(readSecretFile(path)?.wasExposed).toBe(true)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a file without a valid secret is refused, and so is a secret in the environment that is too short; neither is shown', () => {
  const path = join(tempFolder(), 'ops.token')
  writeFileSync(path, '', { mode: 0o600 })
  expect(() => readOrCreateSecretFile(path)).toThrow('does not contain a secret')
  expect(() => readSecrets({ CQRS_OPS_TOKEN: 'hunter2' })).toThrow(
    /CQRS_OPS_TOKEN is not a valid secret: (?!.*hunter2)/,
  )
  expect(readSecrets({ CQRS_OPS_TOKEN: '' }).opsToken).toBeUndefined()
})
