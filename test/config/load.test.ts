import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DEFAULT_APP, NO_APP, SETTINGS } from '../../src/config/config.ts'
import { clientUrl, loadConfig, unknownVariables } from '../../src/config/load.ts'
import { tempFolder } from '../support/temp-folder.ts'

const projectFolder = new URL('../..', import.meta.url).pathname

function load(file: string, env: Record<string, string> = {}) {
  const cwd = tempFolder()
  writeFileSync(join(cwd, 'iii.config.yaml'), file)
  return loadConfig({ env, cwd })
}

function ours(settings: string): string {
  return `workers:\n  - name: iii-worker-manager\n    cqrs:\n${settings.replaceAll(/^/gm, '      ')}\n`
}

test('without a file and environment the defaults hold', () => {
  const cwd = tempFolder()
  const config = loadConfig({ env: {}, cwd })
  expect(config).toMatchObject({
    data: join(cwd, 'data'),
    app: DEFAULT_APP,
    file: undefined,
    engine: { host: '127.0.0.1', url: 'ws://127.0.0.1:49134', embedded: true, httpEnabled: true },
    http: { host: '127.0.0.1', port: 3111, maxBodyBytes: 1_048_576 },
    projections: { batchSize: 1_000, batchBytes: 8_388_608, sweepIntervalMs: 1_000 },
  })
})

test('the shipped iii.config.yaml shows every setting and changes no default', () => {
  const shipped = loadConfig({ env: {}, cwd: projectFolder })
  expect({ ...shipped, file: undefined }).toEqual(
    loadConfig({ env: { CQRS_DATA: join(projectFolder, 'data') }, cwd: tempFolder() }),
  )
  const text = readFileSync(join(projectFolder, 'iii.config.yaml'), 'utf8')
  expect(SETTINGS.map(({ env }) => env).filter((variable) => !text.includes(variable))).toEqual([])
  // The real engine cuts the config out of an entry whose name stands on the line of its dash.
  expect(text).not.toMatch(/- *name:/)
})

test('the environment wins over the file, and the file over the default', () => {
  const file = ours('commands:\n  maxWaiting: 5\n  conflictRetries: 6')
  const config = load(file, { CQRS_COMMANDS_MAX_WAITING: '7' })
  expect(config.commands).toMatchObject({ maxWaiting: 7, conflictRetries: 6, streamCacheSize: 10_000 })
})

test('variables in the file are expanded with their defaults, and an empty override counts as none', () => {
  const file = `workers: [{ name: iii-http, config: { port: \${PORT:80}, host: "\${HOST:here}" } }]`
  expect(load(file, { III_HTTP_PORT: '', HOST: 'there' }).http).toMatchObject({ host: 'there', port: 80 })
})

test('a variable without a default that is not set is named', () => {
  expect(() => load(ours(`data: \${NOWHERE}`))).toThrow(/\$\{NOWHERE\}.*set it/)
})

test('a value of the wrong kind names the key, what was found and what is allowed', () => {
  expect(() => load(ours('commands:\n  conflictRetries: many'))).toThrow(
    /cqrs\.commands\.conflictRetries in .* is "many"\. Allowed: a whole number from 0 to 1,000\./,
  )
  expect(() => load(ours('log: { level: loud }'))).toThrow(/log\.level .* is "loud"\. Allowed: trace, debug/)
  expect(() => load('', { III_PORT: '70000' })).toThrow(
    'The environment variable III_PORT is "70000". Allowed: a whole number from 0 to 65,535.',
  )
})

test('an unknown key is answered with the nearest one, at every depth', () => {
  expect(() => load(ours('comands: {}'))).toThrow('"cqrs.comands". Did you mean "commands"?')
  expect(() => load(ours('queue: { concurency: 3 }'))).toThrow(
    '"cqrs.queue.concurency". Did you mean "concurrency"?',
  )
  expect(() => load('worker: []')).toThrow('"worker". Did you mean "workers"?')
  expect(() => load('workers: [{ name: http, config: { prot: 1 } }]')).toThrow(
    '"http.config.prot". Did you mean "port"?',
  )
  expect(() => load('workers: [{ name: iii-htpp }]')).toThrow('Did you mean "iii-http"?')
})

test('what is no YAML, or has a text where keys belong, says where', () => {
  expect(() => load('workers:\n  - name: [')).toThrow(/is not YAML at line 2/)
  expect(() => load(ours('commands: 3'))).toThrow(
    'cqrs.commands: 3, but it has to be a mapping of keys to values',
  )
  expect(() => load('workers: http')).toThrow('workers: "http", but it has to be a list')
})

test('keys of the object prototype are unknown keys, not settings', () => {
  expect(() => load(ours('__proto__: { data: x }'))).toThrow('unknown key')
  expect(() => load(ours('constructor: 1'))).toThrow('unknown key')
})

test('a named file must exist', () => {
  expect(() => loadConfig({ env: { CQRS_CONFIG: 'nowhere.yaml' }, cwd: tempFolder() })).toThrow(
    /nowhere\.yaml cannot be read: ENOENT.*Name another file with --config or CQRS_CONFIG\./,
  )
})

test('a worker that the file does not list is off', () => {
  expect(load('workers: [{ name: http }]').engine).toMatchObject({ httpEnabled: true, stateEnabled: false })
})

test('III_URL means that no embedded engine is started; what only a real engine can do is then allowed', () => {
  const file = 'workers: [{ name: iii-worker-manager, config: { rbac: { expose_functions: [] } } }]'
  expect(() => load(file)).toThrow('the embedded engine does not have')
  const config = load(file, { III_URL: 'ws://engine:49134' })
  expect(config.engine).toMatchObject({ url: 'ws://engine:49134', embedded: false })
  expect(() => load('', { III_URL: 'engine:49134' })).toThrow('Allowed: an address like ws://')
})

test('queues are defined by any name, beside settings that are known', () => {
  const file = ours('queue:\n  maxRetries: 9\n  queues: { mails: { type: fifo }, jobs: }')
  expect(load(file).queue).toMatchObject({ maxRetries: 9, queues: { mails: { type: 'fifo' }, jobs: null } })
  expect(load('').queue.queues).toEqual({})
  expect(() => load(ours('queue: { queues: [mails] }'))).toThrow(/cqrs\.queue\.queues: .* mapping/)
})

test("queues that are defined for iii's own queue worker are refused, since nobody would define them", () => {
  const file = (name: string, config: string) => `workers: [{ name: ${name}, config: ${config} }]`
  for (const name of ['queue', 'iii-queue']) {
    expect(() => load(file(name, '{ queue_configs: { mails: {} } }'))).toThrow(
      /Move them to cqrs\.queue\.queues/,
    )
    expect(load(file(name, '{ adapter: { name: builtin } }')).queue.queues).toEqual({})
  }
  // A real engine has that worker.
  load(file('queue', '{ queue_configs: { mails: {} } }'), { III_URL: 'ws://engine:49134' })
})

test('without an app the system is only a queue', () => {
  expect(load('', { CQRS_APP: 'none' }).app).toBe(NO_APP)
  expect(load(ours('app: none')).app).toBe(NO_APP)
  expect(load('', { CQRS_APP: './none' }).app).not.toBe(NO_APP)
})

test('the configuration cannot be changed', () => {
  const config = load('')
  expect(() => Object.assign(config.commands, { maxWaiting: 1 })).toThrow(TypeError)
})

test('a mistyped variable is found; what the configuration file, secrets or tests go by is none', () => {
  const cwd = tempFolder()
  writeFileSync(join(cwd, 'own.yaml'), `workers: [] # \${CQRS_OWN_FOLDER} \${CQRS_OTHER:1}`)
  const known = { CQRS_OPS_TOKEN: 'x', CQRS_WORKER_SECRET: 'x', CQRS_TELEMETRY: 'true', CQRS_TEST_SEED: '1' }
  const env = { ...known, CQRS_DTA: 'x', CQRS_OWN_FOLDER: 'y', CQRS_OTHER: 'z', CQRS_FOO: '1', PATH: 'z' }
  expect(unknownVariables({ env: { ...env, CQRS_CONFIG: 'own.yaml' }, cwd })).toEqual([
    { name: 'CQRS_DTA', nearest: 'CQRS_DATA' },
    { name: 'CQRS_FOO', nearest: undefined },
  ])
  const nowhere = { CQRS_OTHER: 'z', CQRS_CONFIG: 'nowhere.yaml' }
  expect(unknownVariables({ env: nowhere, cwd }).map(({ name }) => name)).toEqual(['CQRS_OTHER'])
})

test('an engine that listens everywhere is dialled on this machine', () => {
  expect(clientUrl('ws', '0.0.0.0', 1)).toBe('ws://127.0.0.1:1')
  expect(clientUrl('ws', '::1', 1)).toBe('ws://[::1]:1')
})
