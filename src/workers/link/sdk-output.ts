import type { Logger } from 'pino'

/** The part of the console that the SDK writes to. */
export type SdkConsole = Pick<Console, 'debug' | 'warn' | 'error'>

/** What to do if the engine refuses a worker. */
export const REFUSED =
  'The engine refuses this worker, because it does not send the right secret. Set CQRS_WORKER_SECRET to the content of ' +
  'worker.secret in the data folder of the engine.'

/** The link is broken, or something could not be sent because it is. */
const LINK_TROUBLE = /WebSocket error|Failed to send|while sending|\b(EPIPE|ECONNRESET)\b/

/**
 * The SDK says this when a link closes, and each time that it cannot open another one. Only the first of these is a
 * loss. Before the first link there is nothing to lose: calls wait in the SDK, and nobody has taken them.
 */
const LINK_LOST = /^\[iii\] Reconnecting in \d+ms \(attempt 1\)/

export interface SdkOutputOptions {
  /** Called when the engine requires a secret that this process does not send. */
  readonly onRefused?: (() => void) | undefined
  /** Called when the link to the engine broke; calls over it that are not answered yet never will be. */
  readonly onLinkLost?: (() => void) | undefined
  /** Aborted when this process begins to stop. From then on it is no problem if the engine goes, too. */
  readonly stopping?: AbortSignal | undefined
}

/**
 * Redirects what the SDK writes to the console into the log; other output stays where it is. That the engine cannot be
 * reached is logged as a warning once per outage, not at each attempt, and never while this process stops.
 */
export function redirectSdkOutput(
  target: SdkConsole,
  log: Logger,
  { onRefused = () => {}, onLinkLost = () => {}, stopping }: SdkOutputOptions = {},
): void {
  let outage = false
  let wasLinked = false
  const redirect = (method: 'debug' | 'warn' | 'error') => {
    const original = target[method].bind(target)
    target[method] = (...parts: unknown[]) => {
      const [first] = parts
      if (typeof first !== 'string' || !/^\[(iii|OTel)\]/.test(first)) {
        original(...parts)
        return
      }
      const message = parts.map((part) => (part instanceof Error ? part.message : String(part))).join(' ')
      const isLinkError = message.includes('WebSocket error')
      if (message.includes('Worker registered')) {
        outage = false
        wasLinked = true
      }
      const isRefusal = isLinkError && message.endsWith('response: 401')
      if (isRefusal) onRefused()
      if (wasLinked && LINK_LOST.test(message)) onLinkLost()
      if (stopping?.aborted && LINK_TROUBLE.test(message)) log.debug(message)
      else if (isRefusal && !outage) log.error(REFUSED)
      else if (isLinkError && !outage) log.warn(`The engine cannot be reached; trying again. ${message}`)
      else if (method === 'error' && !isLinkError) log.error(message)
      else log.debug(message)
      outage ||= isLinkError
    }
  }
  redirect('debug')
  redirect('warn')
  redirect('error')
}
