import { readFileSync } from 'node:fs'
import { success } from '../link/http.ts'
import type { OfferedFunction } from '../link/offer.ts'
import { SECURITY_HEADERS } from './ops-http.ts'

/**
 * Scripts, styles and requests are limited to this server, so that the content of an event cannot run or load anything.
 */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

/** How the ids of the functions of the console begin. */
export const CONSOLE = 'cqrs::console'

const FILES = [
  { id: 'cqrs::console', path: '/console', file: 'index.html', type: 'text/html' },
  { id: 'cqrs::console-script', path: '/console/console.js', file: 'console.js', type: 'text/javascript' },
  {
    id: 'cqrs::console-elements',
    path: '/console/elements.js',
    file: 'elements.js',
    type: 'text/javascript',
  },
  { id: 'cqrs::console-style', path: '/console/style.css', file: 'style.css', type: 'text/css' },
] as const

/**
 * The web console: files that anybody may load. They get the data that they show from `/ops`, with the token that the
 * operator enters.
 */
export function consoleFunctions(): OfferedFunction[] {
  const slash: OfferedFunction = {
    id: 'cqrs::console-slash',
    description: 'Redirects to the web console.',
    http: { method: 'GET', path: '/console/' },
    // Relative, so that it also works behind a proxy that puts a prefix before the path.
    handle: async () => success('', 308, { ...SECURITY_HEADERS, Location: '../console' }),
  }
  const files = FILES.map(({ id, path, file, type }) => {
    const text = readFileSync(new URL(`../../operator/console/${file}`, import.meta.url), 'utf8')
    const headers = {
      ...SECURITY_HEADERS,
      'Content-Security-Policy': POLICY,
      'Content-Type': `${type}; charset=utf-8`,
    }
    return {
      id,
      description: 'A file of the web console.',
      http: { method: 'GET' as const, path },
      handle: async () => success(text, 200, headers),
    }
  })
  return [...files, slash]
}
