import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CqrsError } from '../kernel/errors.ts'
import { type Config, configSchema, NO_APP, SETTINGS } from './config.ts'
import { type EngineFile, NO_FILE, parseEngineFile } from './engine-file.ts'
import { expandVariables, variablesIn } from './expand.ts'
import { readSecrets, SECRET_VARIABLES } from './secrets.ts'
import type { Setting } from './setting.ts'
import { suggest } from './suggest.ts'

/** The file that is read if CQRS_CONFIG names no other; it may be missing. */
const DEFAULT_FILE = 'iii.config.yaml'

const PREFIX = 'CQRS_'

/** Variables with our prefix that are not settings. */
const FURTHER_VARIABLES = ['CQRS_CONFIG', ...SECRET_VARIABLES]

/** The prefix of variables that the tests of this software use. */
const OF_TESTS = 'CQRS_TEST_'

/** Where the configuration comes from. */
export interface LoadOptions {
  readonly env: Readonly<NodeJS.ProcessEnv>
  /** The working directory, for relative paths. */
  readonly cwd: string
}

/**
 * Loads the configuration: defaults, then the file ({@link DEFAULT_FILE}, or the one named by CQRS_CONFIG), then the
 * environment. An empty variable counts as not set.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID naming the key, what was found and what is allowed
 */
export function loadConfig({ env, cwd }: LoadOptions): Config {
  const { file, content } = readFile(env, cwd)
  const source = content === undefined ? NO_FILE : parseEngineFile(expandVariables(content, env), file)
  const values = {}
  for (const setting of SETTINGS) assign(values, setting.path, readSetting(setting, source, env, file))
  const settings = configSchema.parse(values)
  const engine = { ...settings.engine, ...source.features, ...engineAddress(settings.engine) }
  if (engine.embedded && source.embeddedProblem) throw source.embeddedProblem
  return deepFreeze({
    ...settings,
    data: resolve(cwd, settings.data),
    app: settings.app === 'none' ? NO_APP : resolve(cwd, settings.app),
    engine,
    queue: { ...settings.queue, queues: source.queues },
    secrets: readSecrets(env),
    file: content === undefined ? undefined : file,
  })
}

/** The address at which a client on this machine reaches an engine that listens on `host` and `port`. */
export function clientUrl(protocol: 'ws' | 'http', host: string, port: number): string {
  const everywhere = ['0.0.0.0', '::', '[::]'].includes(host)
  const name = everywhere ? '127.0.0.1' : host
  return `${protocol}://${name.includes(':') && !name.startsWith('[') ? `[${name}]` : name}:${port}`
}

/** A variable that looks like a setting but is not one. */
export interface UnknownVariable {
  readonly name: string
  /** The known name that was perhaps meant. */
  readonly nearest: string | undefined
}

/**
 * Variables with our prefix that are unknown: to this software, and to the configuration file, which may use any
 * variable.
 */
export function unknownVariables({ env, cwd }: LoadOptions): UnknownVariable[] {
  const known = [...SETTINGS.map((setting) => setting.env), ...FURTHER_VARIABLES]
  const strange = Object.keys(env).filter((name) => name.startsWith(PREFIX) && !known.includes(name))
  if (strange.length === 0) return []
  const used = usedByFile(env, cwd)
  return strange
    .filter((name) => !name.startsWith(OF_TESTS) && !used.includes(name))
    .map((name) => ({ name, nearest: nearestVariable(name, known) }))
}

function nearestVariable(name: string, known: readonly string[]): string | undefined {
  const ours = known.filter((one) => one.startsWith(PREFIX)).map((one) => one.slice(PREFIX.length))
  const nearest = suggest(name.slice(PREFIX.length), ours)
  return nearest && PREFIX + nearest
}

function usedByFile(env: LoadOptions['env'], cwd: string): string[] {
  try {
    return variablesIn(readFile(env, cwd).content ?? '')
  } catch {
    // Whoever loads the configuration gets the error for a file that cannot be read.
    return []
  }
}

function readFile(env: LoadOptions['env'], cwd: string): { file: string; content: string | undefined } {
  const file = resolve(cwd, env.CQRS_CONFIG || DEFAULT_FILE)
  try {
    return { file, content: readFileSync(file, 'utf8') }
  } catch (error) {
    if (!env.CQRS_CONFIG && (error as NodeJS.ErrnoException).code === 'ENOENT') {
      return { file, content: undefined }
    }
    throw new CqrsError(
      'CQRS_CONFIG_INVALID',
      `The configuration ${file} cannot be read: ${(error as Error).message}. Name another file with --config or ` +
        `CQRS_CONFIG. Without either, ./${DEFAULT_FILE} is read if there is one; otherwise the defaults apply.`,
      { cause: error },
    )
  }
}

function readSetting(setting: Setting, source: EngineFile, env: LoadOptions['env'], file: string): unknown {
  const override = env[setting.env]
  const fromEnvironment = override !== undefined && override !== ''
  const found = fromEnvironment ? fromText(override, setting) : source.valueAt(setting.at)
  if (setting.schema.safeParse(found).success) return found
  const place = fromEnvironment
    ? `The environment variable ${setting.env}`
    : `${inFile(setting.at)} in ${file}`
  const text = fromEnvironment ? `"${override}"` : JSON.stringify(found)
  throw new CqrsError('CQRS_CONFIG_INVALID', `${place} is ${text}. Allowed: ${setting.allowed}.`)
}

/**
 * Environment variables are text: a text is read as a number or flag only if the setting does not accept it as text.
 */
function fromText(text: string, { schema }: Setting): unknown {
  if (schema.safeParse(text).success) return text
  if (/^-?\d+(\.\d+)?$/.test(text.trim())) return Number(text)
  return { true: true, false: false }[text.trim()] ?? text
}

function inFile(at: string): string {
  return at.startsWith('cqrs.') ? at : at.replace('.', '.config.')
}

function engineAddress(engine: { url: string; host: string; port: number }) {
  if (engine.url === 'embedded') {
    return { embedded: true, url: clientUrl('ws', engine.host, engine.port) }
  }
  if (URL.canParse(engine.url) && ['ws:', 'wss:'].includes(new URL(engine.url).protocol)) {
    return { embedded: false, url: engine.url }
  }
  throw new CqrsError(
    'CQRS_CONFIG_INVALID',
    `The address of the engine (III_URL) is "${engine.url}". Allowed: an address like ws://host:49134, or "embedded".`,
  )
}

function assign(target: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.split('.')
  const last = keys.pop() ?? path
  let table = target
  for (const key of keys) {
    table[key] ??= {}
    table = table[key] as Record<string, unknown>
  }
  table[last] = value
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
