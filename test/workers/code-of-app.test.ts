import { cpSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { runNode } from '../support/program.ts'
import { tempFolder } from '../support/temp-folder.ts'

const INDEX = new URL('../../src/index.ts', import.meta.url).href
const MODULE = new URL('../../src/workers/code-of-app.ts', import.meta.url).href

/** An app of three files, the last of which a fold would call. */
function newApp() {
  const folder = tempFolder()
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text)
  write('prices.json', '{"fee": 1}')
  write(
    'fee.ts',
    `import prices from './prices.json' with { type: 'json' }\nexport const fee: number = prices.fee`,
  )
  write(
    'app.ts',
    `import { defineApp } from '${INDEX}'\nimport { fee } from './fee.ts'\nexport default defineApp({ name: \`app-\${fee}\`, deciders: [] })`,
  )
  write('unused.ts', 'export {}')
  return { folder, write }
}

/** What the code is in a process of its own: the test runner loads modules in its own way. */
async function codeIn(folder: string, first = '', module = MODULE): Promise<string> {
  const script = `${first};const { loadAppWithCode } = await import('${module}')
    console.log((await loadAppWithCode('${join(folder, 'app.ts')}')).code)`
  const { stdout, stderr } = await runNode(['--input-type=module', '--eval', script], folder)
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
  return stdout
}

test('the code of an app is that of all its files: a change in any of them makes it another one', async () => {
  const { folder, write } = newApp()
  const before = await codeIn(folder)
  write('prices.json', '{"fee": 2}')
  const changed = await codeIn(folder)
  expect(changed).not.toBe(before)
  write('prices.json', '{"fee": 1}')
  expect(await codeIn(folder)).toBe(before)
  write('fee.ts', 'export const fee = 1')
  expect(await codeIn(folder)).not.toBe(before)
})

test('the code is the same in another folder, with other files beside it, and in any process', async () => {
  const { folder, write } = newApp()
  const before = await codeIn(folder)
  write('unused.ts', 'export const changed = true')
  expect(await codeIn(folder)).toBe(before)
  expect(await codeIn(folder, `await import('${INDEX}')`)).toBe(before)
  const again = `await (await import('${MODULE}')).loadAppWithCode('${join(folder, 'app.ts')}')`
  expect(await codeIn(folder, again)).toBe(before)
  const copy = join(tempFolder(), 'deployed')
  cpSync(folder, copy, { recursive: true })
  expect(await codeIn(copy)).toBe(before)
})

test('an app behind a link to its folder is known by all its files, too', async () => {
  const { folder, write } = newApp()
  const link = join(tempFolder(), 'current')
  symlinkSync(folder, link)
  const before = await codeIn(link)
  expect(await codeIn(folder)).toBe(before)
  write('prices.json', '{"fee": 2}')
  expect(await codeIn(link)).not.toBe(before)
})

test('the code of an app does not contain this package, also if that is in a folder beside the app', async () => {
  const { folder, write } = newApp()
  const root = new URL('../../', import.meta.url)
  cpSync(new URL('src', root), join(folder, 'cqrs', 'src'), { recursive: true })
  symlinkSync(new URL('node_modules', root), join(folder, 'node_modules'))
  write(
    'app.ts',
    `import { defineApp } from './cqrs/src/index.ts'\nexport default defineApp({ name: 'app', deciders: [] })`,
  )
  const module = pathToFileURL(join(folder, 'cqrs', 'src', 'workers', 'code-of-app.ts')).href
  const code = await codeIn(folder, '', module)
  // Which modules of the package are loaded by then depends on the process.
  expect(await codeIn(folder, `await import('./cqrs/src/index.ts')`, module)).toBe(code)
})
