import { connect, createServer, type Server, type Socket } from 'node:net'

/** Stands between a worker and an engine, to break their connections. */
export class TcpProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: URL) {
    this.#server = createServer((client) => {
      const upstream = connect(Number(target.port), target.hostname)
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          upstream.destroy()
        })
      }
      client.pipe(upstream).pipe(client)
    })
  }

  /** Listens on a free port and forwards to the engine at `url`. */
  static async to(url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(url))
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  /** Cuts what is connected; new connections are taken. */
  async breakConnections(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await Promise.all(closed)
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    await this.breakConnections()
    await closed
  }
}
