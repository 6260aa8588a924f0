/** Where an engine can be reached. */
export interface EngineAddresses {
  /** Where workers connect. */
  readonly url: string
  readonly port: number
  /** Where HTTP is served; undefined if it is switched off. */
  readonly httpUrl?: string
  readonly httpPort?: number
}

/** What a supervised process sends when it serves. */
export interface ReadyMessage {
  readonly kind: 'ready'
  /** Only from the engine. */
  readonly engine?: EngineAddresses
}

/** Why a process is to stop. */
export type StopReason = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'supervisor-gone'

/** The part of Node's `process` that is needed here. */
export type HostProcess = Pick<NodeJS.Process, 'on' | 'once' | 'connected' | 'send'>

/** Whether a message of a child is a {@link ReadyMessage}. */
export function isReadyMessage(message: unknown): message is ReadyMessage {
  return typeof message === 'object' && message !== null && (message as ReadyMessage).kind === 'ready'
}

/** Tells the supervisor, if there is one, that this process serves. */
export function reportReady(host: HostProcess, engine?: EngineAddresses): void {
  if (!host.connected) return
  // The supervisor may go at this very moment; that is noticed elsewhere.
  host.send?.({ kind: 'ready', engine } satisfies ReadyMessage, undefined, undefined, () => {})
}

/**
 * Resolves when this process is told to stop: by a signal, or because its supervisor is gone. A key press
 * like Ctrl-C signals all processes of a terminal at once; one with a supervisor leaves it to the
 * supervisor, which stops them in the right order.
 */
export function stopRequested(host: HostProcess): Promise<StopReason> {
  return new Promise((resolve) => {
    const supervised = host.send !== undefined
    // Kept for good: whoever stops a whole group of processes may signal one of them twice, and without a
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
