import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { tempFolder } from '../support/temp-folder.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')

const guide = readFileSync(join(ROOT, 'docs', 'write-your-own.md'), 'utf8')

/** The folder of an app, with what the guide has installed there. */
function appFolder(): string {
  const folder = tempFolder()
  const [, tsconfig = ''] = /tsconfig\.test\.ts -->\n```json\n([^`]+)```/.exec(guide) ?? []
  writeFileSync(join(folder, 'tsconfig.json'), tsconfig)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const name of ['zod', 'vitest', '@types/node', 'iii-sdk']) {
    mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  }
  symlinkSync(ROOT, join(folder, 'node_modules', 'iii-durable-cqrs'))
  for (const file of [
    'example-app.ts',
    'locker.test.ts',
    'readme-app.ts',
    'transfers-app.ts',
    'transfers.test.ts',
    'receiver.ts',
  ]) {
    copyFileSync(join(ROOT, 'test', 'docs', file), join(folder, file))
  }
  return folder
}

/** What the compiler says of a folder. */
function compile(cwd: string): string {
  try {
    return execFileSync(process.execPath, [TSC], { cwd, encoding: 'utf8' })
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}

test('the tsconfig of the guide checks an app in a folder of its own, and its tests', () => {
  const folder = appFolder()
  const app = readFileSync(join(folder, 'readme-app.ts'), 'utf8')
  writeFileSync(join(folder, 'wrong-app.ts'), app.replace("by: 'cents'", "by: 'sents'"))
  expect(compile(folder)).toMatch(/^wrong-app\.ts\(\d+,\d+\): error TS\d+: [^\n]*"sents"[^\n]*\n$/)
})
