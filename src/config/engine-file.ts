import { parse, YAMLParseError } from 'yaml'
import { CqrsError } from '../kernel/errors.ts'
import { type EngineFeatures, SETTINGS } from './config.ts'
import { didYouMean } from './suggest.ts'

type Table = Readonly<Record<string, unknown>>

/** The content of iii.config.yaml by worker, before each value is validated. */
export interface EngineFile {
  readonly features: EngineFeatures
  /** Something in the file that the embedded engine cannot do. */
  readonly embeddedProblem: CqrsError | undefined
  /** The queues that the file defines (`cqrs.queue.queues`), by name; their settings are not validated. */
  readonly queues: Table
  /** The value at a setting's place in the file, e.g. `http.port`; undefined if the file does not have it. */
  valueAt(at: string): unknown
}

/** Built-in workers that the embedded engine has, too. */
const OURS = ['iii-worker-manager', 'http', 'state', 'pubsub']

/** Built-in workers that only the real engine has; the embedded one ignores their entries. */
const REAL_ENGINE_ONLY = [
  'configuration',
  'cron',
  'queue',
  'iii-bridge',
  'iii-engine-functions',
  'iii-exec',
  'iii-http-functions',
  'iii-observability',
  'iii-stream',
  'iii-telemetry',
]

/** Keys that the real engine knows and that are not settings with a single value. */
const FURTHER_KEYS: Readonly<Record<string, readonly string[]>> = {
  'iii-worker-manager': ['middleware_function_id', 'rbac'],
  http: ['cors', 'middleware'],
  state: ['adapter', 'triggers_enabled', 'max_value_bytes', 'save_interval_ms'],
  pubsub: ['adapter'],
}

/** Where tables of ours are whose keys the user chooses. */
const TABLES = ['cqrs.queue.queues']

/** Settings that protect the engine. Ignoring them silently would open access that the user has closed. */
const GUARDS = ['middleware_function_id', 'rbac']

/** The configuration used if there is no file. */
export const NO_FILE: EngineFile = {
  features: {
    httpEnabled: true,
    stateEnabled: true,
    pubsubEnabled: true,
    httpMiddleware: [],
    stateMaxValueBytes: undefined,
  },
  embeddedProblem: undefined,
  queues: {},
  valueAt: () => undefined,
}

/**
 * Parses an iii.config.yaml after its variables were expanded. Our own settings are under the key `cqrs` in the entry
 * of `iii-worker-manager`, which the real engine ignores.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID naming the place
 */
export function parseEngineFile(text: string, file: string): EngineFile {
  const document = table(parseYaml(text, file), file, '') ?? {}
  knownKeys(document, ['workers', 'modules'], file, '')
  const configs = new Map<string, Table>()
  let cqrs: Table = {}
  let embeddedProblem: CqrsError | undefined
  for (const entry of [
    ...list(document.workers, file, 'workers'),
    ...list(document.modules, file, 'modules'),
  ]) {
    const worker = table(entry, file, 'workers[]') ?? {}
    const name = workerName(worker.name, file)
    if (name === undefined) {
      embeddedProblem ??= unknownWorker(String(worker.name), file) ?? queuesElsewhere(worker, file)
      continue
    }
    if (configs.has(name)) throw invalid(file, `has two entries for the worker "${name}"; remove one.`)
    const config = table(worker.config, file, `${name}.config`) ?? {}
    knownKeys(config, [...ownKeys(name), ...(FURTHER_KEYS[name] ?? [])], file, `${name}.config`)
    configs.set(name, config)
    if (name !== 'iii-worker-manager') continue
    knownKeys(worker, ['name', 'image', 'config', 'cqrs'], file, name)
    cqrs = table(worker.cqrs, file, 'cqrs') ?? {}
    checkNested(cqrs, 'cqrs', file)
    const guard = GUARDS.find((key) => config[key] !== undefined && config[key] !== null)
    if (guard) {
      embeddedProblem ??= invalid(
        file,
        `sets ${name}.config.${guard}, which the embedded engine does not have. Remove it, or set III_URL to a real engine.`,
      )
    }
  }
  return {
    features: {
      httpEnabled: configs.has('http'),
      stateEnabled: configs.has('state'),
      pubsubEnabled: configs.has('pubsub'),
      httpMiddleware: middleware(configs.get('http')?.middleware, file),
      stateMaxValueBytes: maxValueBytes(configs.get('state')?.max_value_bytes, file),
    },
    embeddedProblem,
    queues: table(table(cqrs.queue, file, 'cqrs.queue')?.queues, file, 'cqrs.queue.queues') ?? {},
    valueAt(at) {
      const [worker = '', ...keys] = at.split('.')
      let value: unknown = worker === 'cqrs' ? cqrs : configs.get(worker)
      for (const key of keys) value = isTable(value) && Object.hasOwn(value, key) ? value[key] : undefined
      return value ?? undefined
    },
  }
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text, { maxAliasCount: 100 })
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error
    const line = error.linePos?.[0].line
    throw invalid(file, `is not YAML${line ? ` at line ${line}` : ''}: ${error.message}`, error)
  }
}

/** The matching name in {@link OURS}, without the prefix of older versions and the suffix of a further instance. */
function workerName(value: unknown, file: string): string | undefined {
  if (typeof value !== 'string')
    throw invalid(file, 'has a worker without a name; add its name, or remove the entry.')
  const name = value.split('#')[0] ?? value
  return [name, name.replace(/^iii-/, '')].find((candidate) => OURS.includes(candidate))
}

/**
 * The error for an unknown worker: the real engine would look for a program of that name, but the embedded one has
 * nothing to start.
 */
function unknownWorker(name: string, file: string): CqrsError | undefined {
  if ([name, name.replace(/^iii-/, '')].some((candidate) => REAL_ENGINE_ONLY.includes(candidate))) return
  const suggestion = didYouMean(name, [...OURS, ...REAL_ENGINE_ONLY, ...OURS.map((known) => `iii-${known}`)])
  return invalid(
    file,
    `names the worker "${name}", which is not built in.${suggestion} Workers of your own connect by themselves; remove the entry.`,
  )
}

/** The error for queues that are defined for iii's own queue worker: here nobody would define them. */
function queuesElsewhere({ name, config }: Table, file: string): CqrsError | undefined {
  const isQueue = ['queue', 'iii-queue'].includes(String(name).split('#')[0] ?? '')
  if (!isQueue || !isTable(config) || !isTable(config.queue_configs)) return
  return invalid(
    file,
    `defines queues in ${name}.config.queue_configs, for a queue worker that the embedded engine does not have. Move them to ` +
      'cqrs.queue.queues of iii-worker-manager, and remove that entry; see docs/queue.md.',
  )
}

function ownKeys(worker: string): string[] {
  return SETTINGS.flatMap(({ at }) => (at.startsWith(`${worker}.`) ? [at.slice(worker.length + 1)] : []))
}

/** Checks the keys of `cqrs`, and of the tables in it, against the settings. */
function checkNested(found: Table, path: string, file: string): void {
  const places = [...SETTINGS.map(({ at }) => at), ...TABLES]
  const below = places.flatMap((at) => (at.startsWith(`${path}.`) ? [at.slice(path.length + 1)] : []))
  knownKeys(found, new Set(below.map((rest) => rest.split('.')[0] ?? rest)), file, path)
  for (const key of Object.keys(found)) {
    if (below.includes(key)) continue
    const inner = table(found[key], file, `${path}.${key}`)
    if (inner) checkNested(inner, `${path}.${key}`, file)
  }
}

function knownKeys(found: Table, known: Iterable<string>, file: string, path: string): void {
  const allowed = new Set(known)
  for (const key of Object.keys(found)) {
    if (allowed.has(key)) continue
    const place = path ? `${path}.${key}` : key
    const suggestion = didYouMean(key, allowed) || ` Allowed: ${[...allowed].join(', ')}.`
    throw invalid(file, `has the unknown key "${place}".${suggestion}`)
  }
}

function middleware(value: unknown, file: string): EngineFeatures['httpMiddleware'] {
  return list(value, file, 'http.config.middleware').map((entry) => {
    const { function_id: functionId, priority = 0 } = table(entry, file, 'http.config.middleware[]') ?? {}
    if (typeof functionId === 'string' && typeof priority === 'number') return { functionId, priority }
    throw invalid(
      file,
      'has an entry in http.config.middleware without a function_id, or with a priority that is not a number.',
    )
  })
}

function maxValueBytes(value: unknown, file: string): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw invalid(
    file,
    `has state.config.max_value_bytes: ${JSON.stringify(value)}. Allowed: a whole number of 1 or more.`,
  )
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function table(value: unknown, file: string, path: string): Table | undefined {
  if (value === undefined || value === null) return undefined
  if (isTable(value)) return value
  throw invalid(
    file,
    `${path ? `has ${path}: ` : 'is '}${JSON.stringify(value)}, but it has to be a mapping of keys to values.`,
  )
}

function list(value: unknown, file: string, path: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  throw invalid(file, `has ${path}: ${JSON.stringify(value)}, but it has to be a list.`)
}

function invalid(file: string, what: string, cause?: unknown): CqrsError {
  return new CqrsError('CQRS_CONFIG_INVALID', `${file} ${what}`, { cause })
}
