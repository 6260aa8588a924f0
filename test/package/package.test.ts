import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { runNode, startUp } from '../support/program.ts'
import { tempFolderOfFile } from '../support/temp-folder.ts'

const ROOT = join(import.meta.dirname, '..', '..')

const folder = tempFolderOfFile()
/** A project of a user, outside of ours. */
const project = join(folder, 'project')
const installed = join(project, 'node_modules', 'iii-durable-cqrs')
let manifest: Record<string, Record<string, string>>

beforeAll(async () => {
  execFileSync(process.execPath, ['packaging/pack.ts', folder], { cwd: ROOT, stdio: 'pipe' })
  mkdirSync(installed, { recursive: true })
  const [archive = ''] = globSync('*.tgz', { cwd: folder })
  execFileSync('tar', ['-xzf', join(folder, archive), '-C', installed, '--strip-components', '1'])
  manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  // Nothing but what it says that it needs; the registry is not asked.
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const link = join(project, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), link)
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  const app = readFileSync(join(ROOT, 'test/docs/readme-app.ts'), 'utf8')
  writeFileSync(join(project, 'app.ts'), app)
  writeFileSync(join(project, 'app.js'), stripTypeScriptTypes(app))
  cpSync(join(ROOT, 'test/package/door.ts'), join(project, 'door.ts'))
})

function filesOf(directory: string, pattern = '**'): string[] {
  return globSync(pattern, { cwd: directory, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort()
}

test('the package has the built code, its pages and nothing else: no source, no test', () => {
  const built = filesOf(join(ROOT, 'src')).flatMap((file) => {
    const path = `dist/${file}`
    if (file.startsWith('operator/console/')) return path
    return [path.replace(/\.[jt]s$/, '.js'), path.replace(/\.[jt]s$/, '.d.ts')]
  })
  const pages = filesOf(ROOT, 'docs/*.md')
  const others = ['LICENSE', 'README.md', 'iii.config.yaml', 'package.json']
  expect(filesOf(installed)).toEqual([...built, ...pages, ...others].sort())
  expect(manifest).not.toHaveProperty('scripts')
  expect(manifest).not.toHaveProperty('devDependencies')
  expect(manifest).not.toHaveProperty('private')
})

test('every path that its code, its declarations and its pages name leads to a file of it', () => {
  const named = [
    ...filesOf(installed, 'dist/**/*.{js,ts}').map((file) => ({
      file,
      pattern: /['"](\.{1,2}\/[^'"\n]*\.[jt]s)['"]/g,
    })),
    ...filesOf(installed, '**/*.md').map((file) => ({ file, pattern: /\]\((?!https?:)([^)#]+)/g })),
  ].flatMap(({ file, pattern }) =>
    [...readFileSync(join(installed, file), 'utf8').matchAll(pattern)].map(([, path = '']) => ({
      file,
      path,
    })),
  )
  expect(named.length).toBeGreaterThan(1_000)
  expect(named.filter(({ file, path }) => !existsSync(join(installed, dirname(file), path)))).toEqual([])
})

/** What careful users turn on besides `strict`. */
const STRICTER = ['--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck']

test.each([
  { resolution: 'nodenext', options: ['--module', 'nodenext'] },
  { resolution: 'nodenext, and more checks', options: ['--module', 'nodenext', ...STRICTER] },
  { resolution: 'bundler', options: ['--module', 'preserve', '--moduleResolution', 'bundler'] },
])(
  'an app of the user passes the type check as $resolution resolves, and a wrong one does not',
  ({ options }) => {
    const strict = ['--strict', '--noEmit', '--allowImportingTsExtensions', ...options]
    const tsc = join(ROOT, 'node_modules/.bin/tsc')
    const { status, stdout } = spawnSync(tsc, [...strict, 'app.ts', 'door.ts'], {
      cwd: project,
      encoding: 'utf8',
    })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  },
)

test('deciders are tested with the kit of the package', async () => {
  expect(await runNode(['door.ts'], project)).toMatchObject({ exitCode: 0, stderr: '' })
})

test('a whole app is tested with the kit of the package', async () => {
  const script = join(project, 'try-app.js')
  const text = `import { runApp } from 'iii-durable-cqrs/testing'
    import app from './app.js'
    const bank = await runApp(app)
    await bank.command('save', { owner: 'ada', cents: 500 })
    console.log(JSON.stringify(await bank.query('richest')))
    await bank.close()`
  writeFileSync(script, text)
  expect(await runNode([script], project)).toMatchObject({
    exitCode: 0,
    stdout: '{"items":[{"owner":"ada","cents":500}]}\n',
  })
})

test('the program and an app share one set of classes', async () => {
  const imports = `import { CqrsError } from 'iii-durable-cqrs'
    import { CqrsError as own } from './node_modules/iii-durable-cqrs/dist/kernel/errors.js'
    process.exitCode = CqrsError === own ? 0 : 1`
  expect(await runNode(['--input-type=module', '--eval', imports], project)).toMatchObject({ exitCode: 0 })
})

test.each(['app.ts', 'app.js'])(
  '%s of the user runs: a command, its view, a refusal, an orderly end',
  async (app) => {
    const env = { CQRS_APP: `./${app}`, CQRS_DATA: `./data-of-${app}` }
    const up = await startUp(project, env, join(installed, manifest.bin?.cqrs ?? ''))
    const post = (path: string, body: unknown) =>
      fetch(up.http + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const saved = await post('/banks/ada/save', { cents: 500 })
    expect(await saved.json()).toEqual({ position: 1, version: 1, events: 1 })
    expect((await post('/banks/ada/spend', { cents: 900 })).status).toBe(409)
    const richest = await fetch(`${up.http}/banks?after=1`)
    expect(await richest.json()).toMatchObject({ items: [{ owner: 'ada', cents: 500 }] })
    up.process.kill('SIGTERM')
    expect({ exitCode: await up.exited, stderr: up.output.stderr }).toEqual({ exitCode: 0, stderr: '' })
  },
)
