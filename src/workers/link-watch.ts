import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import type { IIIClient } from 'iii-sdk'
import { answersOverLink } from './link.ts'

/** Calls in a row without an answer that make a link dead; each may take its share of the limit. */
const LOOKS = 3

export interface LinkWatchOptions {
  readonly iii: Pick<IIIClient, 'trigger'>
  /** The engine's address. */
  readonly url: string
  /** How long nothing may pass on the link, in milliseconds. */
  readonly limitMs: number
  /** The link is dead; called once. */
  onDead(): void
}

/**
 * Notices a link that is open and dead, as when a machine or a router on the way vanished: nothing passes, and
 * neither end is told. The SDK finds out after a minute of silence at the earliest; until then the engine
 * keeps calling functions whose answers never come.
 *
 * The engine is asked something over and over. If no answer comes while the same engine answers somebody
 * who connects anew, it is the link. If that gets no answer either the engine is away: the SDK reconnects by
 * itself, and what can be done without an engine goes on.
 *
 * @returns a function that ends it
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

/** Whether somebody speaks HTTP at the engine's address, on a connection of its own; what it says is all the same. */
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
