import { join, relative } from 'node:path'
import { type Config, DEFAULT_APP, NO_APP } from '../config/config.ts'
import { NO_GUEST } from '../config/guest.ts'
import type { App } from '../kernel/app.ts'
import type { UnfitFileSystem } from '../sqlite/file-system.ts'
import type { EngineAddresses } from './supervised.ts'

/** The port at which other programs look for the engine by default. */
const DEFAULT_PORT = 49_134

const EXAMPLE = '{"sku":"mug-1","name":"Mug","priceCents":1250,"quantity":10}'

/** What `cqrs up` prints when everything is ready. */
export function welcome(options: {
  app: App
  config: Config
  /** Where the embedded engine listens; undefined if it runs elsewhere. */
  engine: EngineAddresses | undefined
  /** What is wrong with the file system of the data folder, if anything. */
  unfit?: UnfitFileSystem | undefined
  /** The folder in which the reader will type the commands shown. Default: the working directory. */
  cwd?: string
}): string[] {
  const { app, config, engine, unfit, cwd = process.cwd() } = options
  const url = engine?.url ?? config.engine.url
  const http = engine ? engine.httpUrl : httpElsewhere(config)
  const isDefault = new URL(url).host === `127.0.0.1:${DEFAULT_PORT}`
  // `cqrs` finds the operator's token in the data folder.
  const folder = config.data === join(cwd, 'data') ? '' : `CQRS_DATA='${config.data}' `
  const look = config.app === NO_APP ? 'CQRS_APP=none npx cqrs queues list' : 'npx cqrs status'
  const guest = config.guest === NO_GUEST ? '' : `CQRS_GUEST=${config.guest} `
  const status = `${isDefault ? '' : `III_URL=${url} `}${guest}${folder}${look}`
  return [
    '',
    `  ${config.app === NO_APP ? 'The queue' : app.name} is up.`,
    '',
    ...(http ? [`  HTTP     ${http}`] : []),
    `  Engine   ${url}${engine ? ' (embedded)' : ''}`,
    `  Data     ${config.data}`,
    ...(unfit ? [`  Warning  The data folder is on ${unfit.name}. ${unfit.advice}`] : []),
    '',
    ...(http ? tryNext(app, config, http) : ['  HTTP is switched off in the configuration.']),
    '',
    `  Look:    ${status}`,
    '  Stop:    Ctrl-C',
    '',
  ]
}

/** Assumes that an engine that runs elsewhere serves HTTP as this configuration says, on the engine's own host. */
function httpElsewhere({ engine, http }: Config): string | undefined {
  const { hostname } = new URL(engine.url)
  return engine.httpEnabled ? `http://${hostname}:${http.port}` : undefined
}

function tryNext(app: App, config: Config, http: string): string[] {
  if (config.app === DEFAULT_APP) {
    return [
      '  CQRS_APP names no app, so this is the reference application, an inventory. Try:',
      `    curl -X POST ${http}/inventory -H 'content-type: application/json' -d '${EXAMPLE}'`,
      `    curl ${http}/inventory`,
    ]
  }
  if (config.app === NO_APP) {
    return [
      '  There is no app (CQRS_APP=none), only the queue. Workers of this engine can use it.',
      `  Console  ${http}/console`,
    ]
  }
  const routes = [
    ...[...app.commands.values()].map(({ name, definition }) => ({
      name: `cmd::${name}`,
      http: definition.http,
    })),
    ...[...app.queries.values()].map(({ name, http: route }) => ({ name: `query::${name}`, http: route })),
  ].flatMap(({ name, http: route }) => (route ? [{ name, ...route }] : []))
  const from = relative(process.cwd(), config.app) || config.app
  const width = Math.max(...routes.map(({ path }) => path.length))
  if (routes.length === 0) return [`  The app ${from} has no HTTP routes.`]
  return [
    `  Routes of ${from}:`,
    ...routes.map(
      ({ name, method, path }) => `    ${method.padEnd(6)} ${http}${path.padEnd(width)}  ${name}`,
    ),
  ]
}
