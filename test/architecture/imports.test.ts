import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')

/** An import of one of our files by another; paths from `src` on. */
interface Arrow {
  readonly from: string
  readonly to: string
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean
}

/**
 * Where files may import from besides their own folder: folders (`kernel/`) or single files. The first row
 * whose prefix fits a file counts.
 */
const ALLOWED: readonly (readonly [files: string, from: readonly string[]])[] = [
  ['index.ts', ['kernel/']],
  ['testing.ts', ['kernel/', 'projection/testing.ts', 'testing/']],
  // A whole app in one process.
  ['testing/', ['kernel/', 'command/', 'log/', 'projection/', 'workers/link/refused-command.ts']],
  ['cli.ts', ['operator/cli/']],
  ['boundaries.ts', []],
  ['turn-cork.ts', []],
  ['kernel/', []],
  ['inventory/', ['kernel/']],
  ['sqlite/', ['kernel/']],
  ['log/', ['kernel/', 'sqlite/', 'boundaries.ts']],
  ['projection/', ['kernel/', 'sqlite/', 'log/contract.ts', 'boundaries.ts']],
  ['control/', ['kernel/', 'sqlite/', 'projection/parity.ts']],
  ['generations/', ['kernel/', 'log/contract.ts', 'projection/', 'control/', 'boundaries.ts']],
  ['queue/', ['kernel/', 'sqlite/', 'boundaries.ts']],
  // Its snapshots are a store, too.
  ['command/sqlite/', ['command/', 'sqlite/']],
  ['command/', ['kernel/', 'log/contract.ts', 'boundaries.ts']],
  ['engine/', ['kernel/errors.ts', 'kernel/json.ts', 'sqlite/', 'turn-cork.ts']],
  ['config/', ['kernel/']],
  // It copies files of stores, past everybody who works with them.
  ['backup/', ['kernel/', 'sqlite/', 'config/', 'log/']],
  // The program and its doctor look at everything; the use cases of operators do not.
  [
    'operator/cli/',
    ['operator/', 'log/interchange.ts', 'backup/', 'chaos/', 'config/', 'kernel/', 'supervisor/', 'workers/'],
  ],
  [
    'operator/doctor/',
    ['operator/', 'config/', 'kernel/', 'sqlite/', 'log/', 'queue/', 'projection/', 'supervisor/ports.ts'],
  ],
  ['operator/sqlite/', ['operator/', 'kernel/', 'sqlite/']],
  [
    'operator/',
    ['kernel/', 'log/contract.ts', 'log/interchange.ts', 'projection/', 'control/', 'generations/', 'queue/'],
  ],
  [
    'workers/',
    [
      'kernel/',
      'sqlite/',
      'config/',
      'command/',
      'log/',
      'projection/',
      'control/',
      'generations/',
      'queue/',
      'operator/',
      'boundaries.ts',
      'turn-cork.ts',
    ],
  ],
  ['supervisor/', ['kernel/', 'sqlite/', 'config/', 'engine/', 'workers/']],
  // A storm starts a whole system and reads its stores past everybody, so as to believe nobody.
  [
    'chaos/',
    [
      'kernel/',
      'sqlite/',
      'config/',
      'log/',
      'projection/',
      'control/',
      'supervisor/',
      'workers/load-app.ts',
    ],
  ],
]

/** Who may name a concrete store: those who wire, and those who look at the files past the workers. */
const WIRES_STORES = ['workers/', 'operator/doctor/', 'backup/', 'chaos/', 'testing/']
const CONCRETE_STORE = /^(command|control|log|projection|queue|operator)\/sqlite\//

const MAX_LINES = 400

const IMPORT =
  /^(?:import|export)\s+(type\s+)?(?:\{[^}]*\}|\*(?:\s+as\s+\w+)?|\w+(?:\s*,\s*\{[^}]*\})?)\s+from\s+'([^']+)'|\bimport\('([^']+)'\)|^import\s+'([^']+)'/gm

function filesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => normalize(file))
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .sort()
}

const sources = new Map(filesOf('src').map((file) => [file, readFileSync(join(ROOT, 'src', file), 'utf8')]))

const imports = [...sources].flatMap(([from, source]) =>
  [...source.matchAll(IMPORT)].map((found) => ({
    from,
    module: String(found[2] ?? found[3] ?? found[4]),
    typeOnly: found[1] !== undefined,
  })),
)

const arrows: readonly Arrow[] = imports
  .filter(({ module }) => module.startsWith('.'))
  .map(({ from, module, typeOnly }) => ({ from, to: join(dirname(from), module), typeOnly }))

function isAllowed({ from, to }: Arrow): boolean {
  const [files, allowed] = ALLOWED.find(([prefix]) => from.startsWith(prefix)) ?? ['', []]
  return (files.endsWith('/') && to.startsWith(files)) || allowed.some((prefix) => to.startsWith(prefix))
}

const show = ({ from, to }: Arrow) => `src/${from} imports src/${to}`

/**
 * The files of a circle of imports, the first one twice; none if there is no circle. Files may know each
 * other's types: what matters is that each can be loaded before those that need it.
 */
function findCycle(): string[] {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    done.add(file)
    for (const { to } of arrows.filter(({ from, typeOnly }) => from === file && !typeOnly)) {
      const cycle = visit(to, [...path, file])
      if (cycle.length > 0) return cycle
    }
    return []
  }
  for (const file of sources.keys()) {
    const cycle = visit(file, [])
    if (cycle.length > 0) return cycle
  }
  return []
}

test('this test reads every import, and every import leads to a file', () => {
  for (const [file, source] of sources) {
    const written = [...source.matchAll(/\bfrom '\.|\bimport\('\.|^import '\./gm)].length
    const read = arrows.filter(({ from }) => from === file).length
    expect(read, `imports of src/${file} in a form that this test reads`).toBe(written)
  }
  expect(arrows.filter(({ to }) => !sources.has(to)).map(show)).toEqual([])
  expect(arrows.length).toBeGreaterThan(300)
})

test('arrows between folders go one way only', () => {
  expect(arrows.filter((arrow) => !isAllowed(arrow)).map(show)).toEqual([])
})

test('every file has a row that says what it may import', () => {
  const unknown = [...sources.keys()].filter((file) => !ALLOWED.some(([prefix]) => file.startsWith(prefix)))
  expect(unknown).toEqual([])
})

test('concrete stores are named only where things are wired', () => {
  const offending = arrows.filter(
    ({ from, to }) =>
      CONCRETE_STORE.test(to) &&
      dirname(from) !== dirname(to) &&
      !WIRES_STORES.some((prefix) => from.startsWith(prefix)),
  )
  expect(offending.map(show)).toEqual([])
})

test('the SDK of iii is used by the workers only', () => {
  const offending = imports.filter(
    ({ from, module }) => module === 'iii-sdk' && !/^(workers|operator\/cli)\//.test(from),
  )
  expect(offending.map(({ from, module }) => `src/${from} imports ${module}`)).toEqual([])
})

test('the kernel knows nothing but zod, and the tool of assertions in its test kit', () => {
  const offending = imports.filter(
    ({ from, module }) =>
      from.startsWith('kernel/') &&
      !module.startsWith('.') &&
      module !== 'zod' &&
      !(from === 'kernel/testing.ts' && module === 'node:assert/strict'),
  )
  expect(offending.map(({ from, module }) => `src/${from} imports ${module}`)).toEqual([])
})

test('no files need each other in a circle when they are loaded', () => {
  expect(findCycle().map((file) => `src/${file}`)).toEqual([])
})

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const tooLong = ['src', 'test']
    .flatMap((folder) => filesOf(folder).map((file) => `${folder}/${file}`))
    .map((file) => ({ file, lines: readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES)
  expect(tooLong).toEqual([])
})
