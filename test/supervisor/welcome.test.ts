import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import inventory from '../../src/inventory/app.ts'
import { defineApp } from '../../src/kernel/app.ts'
import noApp from '../../src/kernel/no-app.ts'
import { welcome } from '../../src/supervisor/welcome.ts'
import { tempFolder } from '../support/temp-folder.ts'

const engine = { url: 'ws://127.0.0.1:49134', port: 49_134, httpUrl: 'http://127.0.0.1:3111', httpPort: 3111 }

test('the reference application is shown with lines to try', () => {
  const cwd = tempFolder()
  const config = loadConfig({ env: {}, cwd })
  const text = welcome({ app: inventory, config, engine, cwd }).join('\n')
  expect(text).toContain(
    "curl -X POST http://127.0.0.1:3111/inventory -H 'content-type: application/json' -d '{",
  )
  expect(text).toContain('CQRS_APP names no app, so this is the reference application')
  expect(text).toContain(`Data     ${config.data}`)
  expect(text).toContain('Look:    npx cqrs status\n')
})

test('an app of your own is shown with its routes', () => {
  const config = loadConfig({ env: { CQRS_APP: 'my-app.ts' }, cwd: process.cwd() })
  const text = welcome({ app: inventory, config, engine }).join('\n')
  expect(text).toContain('Routes of my-app.ts:')
  expect(text).not.toContain('reference application')
  const routes = text.split('\n').filter((line) => /(cmd|query)::/.test(line))
  expect(routes).toContainEqual(
    expect.stringMatching(/^ +POST +http:\/\/127\.0\.0\.1:3111\/inventory\/:sku\/sell +cmd::sell-item$/),
  )
  expect(routes).toContainEqual(
    expect.stringMatching(/^ +GET +http:\/\/127\.0\.0\.1:3111\/inventory\/stats +query::inventory-stats$/),
  )
  expect(new Set(routes.map((line) => line.search(/(cmd|query)::/))).size).toBe(1)
})

test('an app without routes says so', () => {
  const config = loadConfig({ env: { CQRS_APP: join(process.cwd(), 'my-app.ts') }, cwd: tempFolder() })
  const app = defineApp({ name: 'mine', deciders: [] })
  expect(welcome({ app, config, engine }).join('\n')).toContain('The app my-app.ts has no HTTP routes.')
})

test('without an app it is the queue that is up, and its commands are shown', () => {
  const cwd = tempFolder()
  const config = loadConfig({ env: { CQRS_APP: 'none' }, cwd })
  const text = welcome({ app: noApp, config, engine, cwd }).join('\n')
  expect(text).toContain('The queue is up.')
  expect(text).toContain('Console  http://127.0.0.1:3111/console')
  expect(text).toContain('Look:    CQRS_APP=none npx cqrs queues list\n')
})

test('an engine on another port is shown with what the status command needs to find it', () => {
  const cwd = tempFolder()
  const config = loadConfig({ env: {}, cwd })
  const elsewhere = { ...engine, url: 'ws://127.0.0.1:50000', port: 50_000 }
  expect(welcome({ app: inventory, config, engine: elsewhere, cwd }).join('\n')).toContain(
    'Look:    III_URL=ws://127.0.0.1:50000 npx cqrs status',
  )
})

test('a data folder of its own is shown with what the status command needs to find the token', () => {
  const config = loadConfig({ env: { CQRS_DATA: 'shop' }, cwd: '/srv' })
  expect(welcome({ app: inventory, config, engine, cwd: '/srv' }).join('\n')).toContain(
    "Look:    CQRS_DATA='/srv/shop' npx cqrs status",
  )
})

test('a data folder that its file system cannot keep safe is shown with what to do', () => {
  const config = loadConfig({ env: {}, cwd: tempFolder() })
  const unfit = { name: 'tmpfs', advice: 'Use a disk.' }
  expect(welcome({ app: inventory, config, engine, unfit }).join('\n')).toContain(
    `Data     ${config.data}\n  Warning  The data folder is on tmpfs. Use a disk.\n`,
  )
})

test('with an engine elsewhere, HTTP is looked for on its host', () => {
  const cwd = tempFolder()
  const config = loadConfig({
    env: { III_URL: 'ws://engine:49134', III_HTTP_PORT: '8080' },
    cwd,
  })
  const text = welcome({ app: inventory, config, engine: undefined, cwd }).join('\n')
  expect(text).toContain('curl http://engine:8080/inventory')
  expect(text).toContain('Look:    III_URL=ws://engine:49134 npx cqrs status')
})

test('an engine without HTTP is not shown with lines that cannot work', () => {
  const config = loadConfig({ env: {}, cwd: tempFolder() })
  const text = welcome({ app: inventory, config, engine: { url: engine.url, port: engine.port } }).join('\n')
  expect(text).not.toContain('curl')
})
