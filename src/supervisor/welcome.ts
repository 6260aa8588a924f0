import { relative } from 'node:path'
import { type Config, DEFAULT_APP } from '../config/config.ts'
import type { App } from '../kernel/app.ts'
import type { EngineAddresses } from './supervised.ts'

/** Where other programs look for the engine if nothing tells them otherwise. */
const DEFAULT_PORT = 49_134

const EXAMPLE = '{"sku":"mug-1","name":"Mug","priceCents":1250,"quantity":10}'

/** What `cqrs up` says when everything is ready. */
export function welcome(options: {
  app: App
  config: Config
  /** Where the embedded engine listens; undefined if it runs elsewhere. */
  engine: EngineAddresses | undefined
}): string[] {
  const { app, config, engine } = options
  const url = engine?.url ?? config.engine.url
  const http = engine?.httpUrl
  const isElsewhere = engine !== undefined && engine.port !== DEFAULT_PORT
  const status = `${isElsewhere ? `III_URL=${engine.url} ` : ''}npx cqrs status`
  return [
    '',
    `  ${app.name} is up.`,
    '',
    ...(http ? [`  HTTP     ${http}`] : []),
    `  Engine   ${url}${engine ? ' (embedded)' : ''}`,
    `  Data     ${config.data}`,
    '',
    ...tryNext(app, config, http ?? 'http://<the engine>:3111'),
    '',
    `  Look:    ${status}`,
    '  Stop:    Ctrl-C',
    '',
  ]
}

function tryNext(app: App, config: Config, http: string): string[] {
  if (config.app === DEFAULT_APP) {
    return [
      '  Try:',
      `    curl -X POST ${http}/inventory -H 'content-type: application/json' -d '${EXAMPLE}'`,
      `    curl ${http}/inventory`,
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
  if (routes.length === 0) return [`  The app ${from} has no HTTP routes.`]
  return [
    `  Routes of ${from}:`,
    ...routes.map(({ name, method, path }) => `    ${method.padEnd(6)} ${http}${path}  ${name}`),
  ]
}
