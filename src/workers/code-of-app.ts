import { hash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { App } from '../kernel/app.ts'
import { loadApp } from './load-app.ts'

/** An app, and what its code is. */
export interface AppWithCode {
  readonly app: App
  /**
   * A hash over the files that the app was loaded from: its module and all that this one imports, directly or through
   * others. The same files in another folder have the same hash. Not in it: what is read or imported later, the
   * environment, and this package.
   */
  readonly code: string
}

/** This package, as far as it is not the app. */
const OWN_FOLDER = pathToFileURL(join(import.meta.dirname, '..', '/')).href

/** Node loads a module once, and only then shows what it imports. So later calls get what the first one found. */
const loaded = new Map<string, Promise<AppWithCode>>()

/**
 * Loads the app that a module exports by default, and identifies its code. In a process that needs the code, nothing else
 * may load the app before.
 *
 * @param path absolute path of the module
 * @throws CqrsError CQRS_APP_INVALID as {@link loadApp}
 */
export function loadAppWithCode(path: string): Promise<AppWithCode> {
  const known = loaded.get(path) ?? load(path)
  loaded.set(path, known)
  return known
}

async function load(path: string): Promise<AppWithCode> {
  // Node knows a module by its real path; the app may be behind a link that a deployment changes.
  const real = existsSync(path) ? realpathSync(path) : path
  const folder = pathToFileURL(join(dirname(real), '/')).href
  const isPartOfThis = folder.startsWith(OWN_FOLDER)
  const files = new Set([pathToFileURL(real).href])
  // Only what comes from the app counts. Others may import modules at the same time, and which modules of this package
  // are loaded by now depends on the process.
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context)
      const { url } = found
      const isOwn = url.startsWith(OWN_FOLDER) && !(isPartOfThis && url.startsWith(folder))
      if (!isOwn && url.startsWith('file:') && files.has(context.parentURL ?? '')) files.add(url)
      return found
    },
  })
  try {
    const app = await loadApp(path)
    const contents = [...files].map((url) => hash('sha256', readFileSync(fileURLToPath(url))))
    return { app, code: hash('sha256', contents.toSorted().join()) }
  } finally {
    hooks.deregister()
  }
}
