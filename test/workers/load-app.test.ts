import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DEFAULT_APP } from '../../src/config/config.ts'
import { loadApp } from '../../src/workers/load-app.ts'
import { tempFolder } from '../support/temp-folder.ts'

test('the reference application is the one that is there by default', async () => {
  expect((await loadApp(DEFAULT_APP)).name).toBe('inventory')
})

test.each([
  { content: 'export const app = 1', says: 'does not export an app' },
  { content: 'throw new Error("boom")', says: 'boom' },
])('a module without an app says what is missing: $content', async ({ content, says }) => {
  const path = join(tempFolder(), 'app.mjs')
  writeFileSync(path, content)
  await expect(loadApp(path)).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringContaining(says),
  })
})

test('a module that is not there is named', async () => {
  await expect(loadApp('/nowhere/app.ts')).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringContaining('/nowhere/app.ts'),
  })
})

test('what an app says of itself is not taken for a module that is not there', async () => {
  const path = join(tempFolder(), 'app.ts')
  const index = new URL('../../src/index.ts', import.meta.url).href
  writeFileSync(path, `import { defineApp } from '${index}'\nexport default defineApp({ name: 'shop' })`)
  await expect(loadApp(path)).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: `The app ${path}: The argument of defineApp is not valid: deciders: must be an array of deciders ([] for none).`,
  })
})
