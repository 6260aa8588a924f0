import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import type { IIIClient } from 'iii-sdk'
import { answersOverLink } from './link.ts'

/** Consecutive calls without an answer that make a link dead. Each call may take an equal share of the limit. */
const LOOKS = 3

export interface LinkWatchOptions {
  readonly iii: Pick<IIIClient, 'trigger'>
  /** The engine's address. */
  readonly url: string
  /** How long the link may be silent, in milliseconds. */
  readonly limitMs: number
  /** Called once, when the link is dead. */
  onDead(): void
}

/**
 * Notices a link that is open but dead, as when a machine or a router on the way vanished: nothing passes, and neither
 * end is told. The SDK finds out after a minute of silence at the earliest; until then the engine keeps calling
 * functions whose answers never come.
 *
 * The engine is called over and over. If no answer comes over the link while the same engine answers on a new
 * connection, the link is dead. If the new connection gets no answer either, the engine is away: then the SDK
 * reconnects by itself, and everything that needs no engine goes on.
 *
 * @returns a function that ends the watch
 */
export function watchLink({ iii, url, limitMs, onDead }: LinkWatchOptions): () => void {
  const ending = new AbortController()
  const { signal } = ending
  const lookMs = Math.ceil(limitMs / LOOKS)
  const watch = async () => {
    for (let missed = 0; missed < LOOKS; ) {
      const [passes] = await Promise.all([
        answersOverLink(iii, lookMs),
        delay(lookMs, undefined, { signal, ref: false }),
      ])
      missed = passes || !(await answersAnew(url, lookMs)) ? 0 : missed + 1
      signal.throwIfAborted()
    }
    onDead()
  }
  watch().catch((error) => {
    if (!signal.aborted) throw error
  })
  return () => ending.abort()
}

/** Whether something answers in HTTP at the engine's address, on a new connection; what it answers does not matter. */
function answersAnew(address: string, timeoutMs: number): Promise<boolean> {
  const url = new URL(address)
  const get = url.protocol === 'wss:' ? getHttps : getHttp
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const request = get(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
    response.destroy()
    resolve(true)
  })
  request.on('error', () => resolve(false))
  return promise
}
