import { spawnSync } from 'node:child_process'
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

test.each([
  { what: 'its syntax', content: 'export const x = 1\nenum Size { Small }', place: ':2' },
  { what: 'an import', content: "import { nope } from 'node:fs'", place: ':1' },
  { what: 'what it does', content: 'export const x = {}\nx.y.z = 1', place: ':2:7' },
])('an error in $what is named with its place', ({ content, place }) => {
  const path = join(tempFolder(), 'app.ts')
  writeFileSync(path, content)
  // In a process of its own: the test runner loads modules in its own way, and its errors look different.
  const module = new URL('../../src/workers/load-app.ts', import.meta.url).href
  const script = `const { loadApp } = await import('${module}')\nawait loadApp('${path}').catch((error) => console.log(error.message))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  })
  expect(stdout).toContain(`(${path}${place}). Correct the module.`)
})

test('a module that is not there is named', async () => {
  await expect(loadApp('/nowhere/app.ts')).rejects.toMatchObject({
    code: 'CQRS_APP_INVALID',
    message: expect.stringMatching(/\/nowhere\/app\.ts.*Set CQRS_APP/),
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
