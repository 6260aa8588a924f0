import type { Logger } from 'pino'

/** The part of the console that the SDK writes to. */
export type SdkConsole = Pick<Console, 'debug' | 'warn' | 'error'>

/** What a worker can do that the engine does not let in. */
export const REFUSED =
  'The engine refuses this worker, because it does not show the right secret. Set CQRS_WORKER_SECRET to the content of ' +
  'worker.secret in the data folder of the engine.'

/** The link is broken, or something could not be sent because it is. */
const LINK_TROUBLE = /WebSocket error|Failed to send|while sending|\b(EPIPE|ECONNRESET)\b/

/**
 * Said when a link closes, and each time that another one cannot be opened; only the first of them is a loss. Before
 * there ever was a link it is none: what was called waits in the SDK, and nobody has taken it.
 */
const LINK_LOST = /^\[iii\] Reconnecting in \d+ms \(attempt 1\)/

export interface SdkOutputOptions {
  /** Hears that the engine asks for a secret that this process does not show. */
  readonly onRefused?: (() => void) | undefined
  /** Hears that the link to the engine broke; what was called over it and is not answered will not be. */
  readonly onLinkLost?: (() => void) | undefined
  /** Aborted as soon as this process stops, from when on it is no trouble that the engine goes as well. */
  readonly stopping?: AbortSignal | undefined
}

/**
 * Leads what the SDK writes to the console into the log; what others write stays where it is. That the
 * engine cannot be reached is a warning once per outage, not at each try, and none while this process stops.
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
