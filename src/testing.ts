/**
 * The public entry `iii-durable-cqrs/testing`: tests of deciders, projections, reactors and whole apps, with any test
 * runner. Only {@link runApp} needs stores, and so Node 24.16 or newer.
 */
import * as crypto from 'node:crypto'
import type { App } from './kernel/app.ts'
import { CqrsError } from './kernel/errors.ts'
import type { AppOptions, RunningApp } from './testing/contract.ts'

export { type DeciderThen, type DeciderWhen, given } from './kernel/testing.ts'
export { type GivenEvent, type Projected, project } from './projection/testing.ts'
export type { AppOptions, RunningApp } from './testing/contract.ts'

/**
 * Runs a whole app in the process of a test: commands, log, views, queries and effects work as in production, on real
 * stores in a temporary folder, but without an engine and without other processes. Views and effects wait until the test
 * calls {@link RunningApp.settle}, so a test decides how far the app is.
 *
 * Close it at the end of the test, or declare it with `await using`.
 *
 * @throws CqrsError CQRS_NODE_TOO_OLD; CQRS_STORE_… if the temporary folder cannot be used
 */
export async function runApp(app: App, options: AppOptions = {}): Promise<RunningApp> {
  if (!('randomUUIDv7' in crypto)) {
    throw new CqrsError(
      'CQRS_NODE_TOO_OLD',
      `runApp needs Node 24.16 or newer and was called with Node ${process.versions.node}. Start the tests through npm ` +
        '("npm test", "npx vitest run") with the package "node" installed, or with a newer Node.',
    )
  }
  const { startApp } = await import('./testing/run-app.ts')
  return startApp(app, options)
}
