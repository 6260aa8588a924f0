/**
 * Makes the package that users install, `npm run package`: Node reads no TypeScript below node_modules, so what
 * is installed is JavaScript. `dist` has the depth of `src`, so that paths that lead out of it stay true.
 *
 * Writes `<folder>/package`, what is in the package, and `<folder>/<name>-<version>.tgz`; `folder` is the only
 * argument, `build` by default.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const folder = resolve(process.argv[2] ?? join(ROOT, 'build'))
const staged = join(folder, 'package')

/** Paths of our own that tsc leaves as they are: in `new URL('./writer.ts', import.meta.url)`, and in declarations. */
const SOURCE_PATH = /(?<=(['"])\.{1,2}\/[^'"\n]*)\.ts(?=\1)/g

rmSync(staged, { recursive: true, force: true })
run(
  join(ROOT, 'node_modules/.bin/tsc'),
  '--project',
  join(import.meta.dirname, 'tsconfig.json'),
  '--outDir',
  join(staged, 'dist'),
)
for (const path of globSync(join(staged, 'dist/**/*.{js,ts}'))) {
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(SOURCE_PATH, '.js'))
}
cpSync(join(ROOT, 'src/operator/console'), join(staged, 'dist/operator/console'), { recursive: true })
for (const each of ['LICENSE', 'README.md', 'docs', 'iii.config.yaml']) {
  cpSync(join(ROOT, each), join(staged, each), { recursive: true })
}

const source = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const built = (path: string, extension: string) =>
  path.replace('src/', 'dist/').replace(/\.[jt]s$/, extension)
const entries = Object.entries<string>(source.exports).map(([name, path]) => [
  name,
  { types: built(path, '.d.ts'), default: built(path, '.js') },
])
const { zod, ...dependencies } = source.dependencies
const manifest = {
  ...source,
  exports: { ...Object.fromEntries(entries), './package.json': './package.json' },
  bin: { cqrs: built(source.bin.cqrs, '.js') },
  files: ['dist', 'docs', 'iii.config.yaml'],
  dependencies,
  // The app's own, whose schemas it takes: the types of one minor version of zod do not fit those of another.
  peerDependencies: { zod: `^${zod}` },
  // For work on the sources only.
  private: undefined,
  scripts: undefined,
  devDependencies: undefined,
  allowScripts: undefined,
}
writeFileSync(join(staged, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
run('npm', 'pack', staged, '--pack-destination', folder, '--loglevel', 'error')

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { cwd: ROOT, stdio: 'inherit' })
}
