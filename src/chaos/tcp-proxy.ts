import { connect, createServer, type Server, type Socket } from 'node:net'

/** The two ends of one connection that runs through the proxy. */
interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

/** Stands between a worker and an engine, to break their connections. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  /** Every open socket, including those whose pair is lost. */
  readonly #sockets = new Set<Socket>()
  #stalled = false

  private constructor(target: URL) {
    this.#server = createServer((client) => {
      this.#join({ client, upstream: connect(Number(target.port), target.hostname) })
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

  /** Whether there is a connection that is not lost. */
  get connected(): boolean {
    return this.#pairs.size > 0
  }

  /** Resets all connections, so that both ends notice. New connections are accepted. */
  async breakConnections(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await Promise.all(closed)
  }

  /** From now on nothing passes, not even on new connections, until {@link resume}. Nothing is lost. */
  stall(): void {
    this.#stalled = true
    for (const { client, upstream } of this.#pairs) {
      client.unpipe().pause()
      upstream.unpipe().pause()
    }
  }

  /** Lets data pass again, including what was held back. */
  resume(): void {
    this.#stalled = false
    for (const pair of this.#pairs) pass(pair)
  }

  /**
   * Makes all connections half-open, as if a machine on the way had vanished: they stay open at both ends, nothing
   * passes any more, and neither end is told when the other one closes. New connections work.
   */
  loseConnections(): void {
    for (const { client, upstream } of this.#pairs) {
      // What arrives is read and dropped: a socket that is not read would push back.
      client.unpipe().resume()
      upstream.unpipe().resume()
    }
    this.#pairs.clear()
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    await this.breakConnections()
    await closed
  }

  #join(pair: Pair): void {
    this.#pairs.add(pair)
    for (const socket of [pair.client, pair.upstream]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (!this.#pairs.delete(pair)) return
        pair.client.destroy()
        pair.upstream.destroy()
      })
    }
    if (!this.#stalled) pass(pair)
  }
}

function pass({ client, upstream }: Pair): void {
  client.pipe(upstream).pipe(client)
}
