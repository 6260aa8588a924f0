import { flushCompileCache } from 'node:module'

/** Where an engine can be reached. */
export interface EngineAddresses {
  /** Where workers connect. */
  readonly url: string
  readonly port: number
  /** Where HTTP is served; undefined if it is switched off. */
  readonly httpUrl?: string
  readonly httpPort?: number
}

/** What a supervised process sends once it serves. */
export interface ReadyMessage {
  readonly kind: 'ready'
  /** Only from the engine. */
  readonly engine?: EngineAddresses
}

/** What a supervised process keeps sending, so that a frozen process can be told from a running one. */
export interface SignOfLife {
  readonly kind: 'alive'
}

/** Why a process is to stop. */
export type StopReason = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'supervisor-gone'

/** The part of Node's `process` that is needed here. */
export type HostProcess = Pick<NodeJS.Process, 'on' | 'once' | 'connected' | 'send'>

/** Whether a message of a child is a {@link ReadyMessage}. */
export function isReadyMessage(message: unknown): message is ReadyMessage {
  return typeof message === 'object' && message !== null && (message as ReadyMessage).kind === 'ready'
}

/** Whether a message of a child is a {@link SignOfLife}. */
export function isSignOfLife(message: unknown): message is SignOfLife {
  return typeof message === 'object' && message !== null && (message as SignOfLife).kind === 'alive'
}

/** How often a process gives a sign of life, in milliseconds, if it may stand still for at most `hangMs`. */
export function signIntervalMs(hangMs: number): number {
  return Math.min(1_000, Math.ceil(hangMs / 10))
}

/** Regularly gives the supervisor, if there is one, a sign of life. @returns a function that ends this */
export function giveSignsOfLife(host: HostProcess, hangMs: number): () => void {
  let underWay = false
  const timer = setInterval(() => {
    // A supervisor that was stopped (SIGSTOP) reads nothing: do not let signs pile up for it.
    if (!host.connected || underWay) return
    underWay = true
    host.send?.({ kind: 'alive' } satisfies SignOfLife, undefined, undefined, () => {
      underWay = false
    })
  }, signIntervalMs(hangMs))
  timer.unref()
  return () => clearInterval(timer)
}

/** Tells the supervisor, if there is one, that this process serves. */
export function reportReady(host: HostProcess, engine?: EngineAddresses): void {
  // Node would only write the cache when the process exits, and a process that is killed never gets there.
  flushCompileCache()
  if (!host.connected) return
  // The supervisor may end at this very moment; that is noticed elsewhere.
  host.send?.({ kind: 'ready', engine } satisfies ReadyMessage, undefined, undefined, () => {})
}

/**
 * Resolves when this process is told to stop: by a signal, or because its supervisor is gone. A key press like Ctrl-C
 * signals all processes of a terminal at once. A process with a supervisor ignores it, because the supervisor stops its
 * processes in the right order.
 */
export function stopRequested(host: HostProcess): Promise<StopReason> {
  return new Promise((resolve) => {
    const supervised = host.send !== undefined
    // These listeners stay: whoever stops a whole group of processes may signal one of them twice, and without a
    // listener the second signal would end it at once.
    host.on('SIGTERM', () => resolve('SIGTERM'))
    for (const signal of ['SIGINT', 'SIGHUP'] as const) {
      host.on(signal, () => {
        if (!supervised) resolve(signal)
      })
    }
    if (!supervised) return
    host.once('disconnect', () => resolve('supervisor-gone'))
    if (!host.connected) resolve('supervisor-gone')
  })
}
