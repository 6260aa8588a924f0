import { createServer } from 'node:net'
import type { Config } from '../config/config.ts'
import { CqrsError } from '../kernel/errors.ts'

/** A port that will be needed. */
export interface NeededPort {
  readonly host: string
  /** 0 is always free: the system chooses a port. */
  readonly port: number
  /** What needs it, e.g. `HTTP`. */
  readonly what: string
  /** The environment variable that sets another port. */
  readonly variable: string
}

/** The range from which Linux takes ports for outgoing connections, so that a port in it can be in use by chance. */
const EPHEMERAL = { first: 32_768, last: 60_999 }

/** The ports of the embedded engine. */
export function neededPorts({ engine, http }: Config): NeededPort[] {
  const { host, port } = engine
  const ports: NeededPort[] = [{ host, port, what: 'the engine', variable: 'III_PORT' }]
  if (engine.httpEnabled) {
    ports.push({ host: http.host, port: http.port, what: 'HTTP', variable: 'III_HTTP_PORT' })
  }
  return ports
}

/** Whether nobody listens on a port; binds it for a moment. @throws any error of the system other than "in use" */
export async function isFree({ host, port }: Pick<NeededPort, 'host' | 'port'>): Promise<boolean> {
  const server = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  server.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') resolve(false)
    else reject(error)
  })
  server.listen(port, host, () => server.close(() => resolve(true)))
  return promise
}

/** The error for a port that is taken; it says what to do. */
export function portTakenError({ host, port, what, variable }: NeededPort): CqrsError {
  const byChance =
    port >= EPHEMERAL.first && port <= EPHEMERAL.last
      ? ' It may be in use only for a moment: Linux picks ports in that range for outgoing connections.'
      : ''
  return new CqrsError(
    'CQRS_PORT_TAKEN',
    `Port ${port} on ${host}, which ${what} needs, is in use by another program.${byChance} ` +
      `Stop that program, or choose another port with ${variable}=<port>.`,
    { details: { host, port } },
  )
}

/**
 * @throws CqrsError CQRS_PORT_TAKEN for the first port that is taken, CQRS_CONFIG_INVALID for one that cannot be used
 *   at all
 */
export async function assertPortsFree(ports: readonly NeededPort[]): Promise<void> {
  for (const needed of ports) {
    let free: boolean
    try {
      free = await isFree(needed)
    } catch (error) {
      throw new CqrsError(
        'CQRS_CONFIG_INVALID',
        `${needed.what} cannot listen on ${needed.host}, port ${needed.port}: ${(error as Error).message}. ` +
          `Choose another address, or another port with ${needed.variable}=<port>.`,
        { cause: error },
      )
    }
    if (!free) throw portTakenError(needed)
  }
}

/** A range below the one that systems use for outgoing connections. */
const QUIET = { first: 20_000, last: 32_000 }

/**
 * A port that is free at the moment and that no outgoing connection takes by chance. Otherwise a worker that reconnects
 * could take its own engine's port while the engine is down.
 *
 * @param except a port that is needed for something else
 */
export async function freePort(host: string, except?: number): Promise<number> {
  for (;;) {
    const port = QUIET.first + Math.floor(Math.random() * (QUIET.last - QUIET.first))
    if (port !== except && (await isFree({ host, port }))) return port
  }
}
