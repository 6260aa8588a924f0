import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { App } from '../kernel/app.ts'
import { CqrsError, isCqrsError } from '../kernel/errors.ts'

/**
 * Loads the app that a module exports by default.
 *
 * @param path absolute path of the module
 * @throws CqrsError CQRS_APP_INVALID if there is no such module, it fails, or it exports no app
 */
export async function loadApp(path: string): Promise<App> {
  let exported: { default?: unknown }
  try {
    exported = await import(pathToFileURL(path).href)
  } catch (error) {
    // The app was found, and its own error says what is wrong with it.
    if (isCqrsError(error))
      throw new CqrsError(error.code, `The app ${path}: ${error.message}`, { cause: error })
    const advice = existsSync(path) ? 'Correct the module.' : 'Set CQRS_APP to the module of your app.'
    throw new CqrsError(
      'CQRS_APP_INVALID',
      `The app ${path} cannot be loaded: ${(error as Error).message}${placeOf(error as Error)}. ${advice}`,
      { cause: error },
    )
  }
  if (isApp(exported.default)) return exported.default
  throw new CqrsError(
    'CQRS_APP_INVALID',
    `The module ${path} does not export an app: write "export default defineApp({…})" in it.`,
  )
}

/**
 * The place of an error, e.g. ` (/my/app.ts:12:7)`; empty if its stack does not have it. If the error is in the syntax
 * of TypeScript, Node puts the place before the message, as a URL or as a path.
 */
function placeOf({ stack = '' }: Error): string {
  const [, module, place] = /(file:[^\s()]+?|^\/[^\s()]+?)((?::\d+){1,2})(?=[\s)]|$)/.exec(stack) ?? []
  if (!module || module === import.meta.url) return ''
  return ` (${module.startsWith('file:') ? fileURLToPath(module) : module}${place})`
}

function isApp(value: unknown): value is App {
  const app = value as Partial<App> | undefined
  return (
    typeof app === 'object' &&
    app !== null &&
    typeof app.name === 'string' &&
    [app.commands, app.projections, app.queries].every((part) => part instanceof Map)
  )
}
