import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CqrsError } from '../kernel/errors.ts'

/**
 * Starts listening and returns the port, which the system chose if `port` is 0.
 *
 * @throws CqrsError `CQRS_PORT_TAKEN` naming the port and how to choose another.
 */
export async function listen(
  server: Server,
  address: { host: string; port: number; what: string; howToChange: string },
): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address.port, address.host, () => {
        server.off('error', reject)
        resolve()
      })
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const { host, port, what, howToChange } = address
    const hint = inEphemeralRange(port)
      ? ` The port lies in the range from which Linux picks ports for outgoing connections (32768 to 60999), so any program may hold it for a moment by chance: try again, or choose one outside that range.`
      : ''
    throw new CqrsError(
      'CQRS_PORT_TAKEN',
      `Port ${port} on ${host}, which ${what} needs, is taken by another program.${hint} ${howToChange}`,
      { cause: error, details: { host, port } },
    )
  }
  return (server.address() as AddressInfo).port
}

function inEphemeralRange(port: number): boolean {
  return port >= 32_768 && port <= 60_999
}
