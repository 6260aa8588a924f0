import { connect, type Socket } from 'node:net'

/** One answer. */
export interface HttpAnswer {
  readonly status: number
  readonly retryAfter: boolean
  readonly body: string
}

interface Waiting {
  resolve(answer: HttpAnswer): void
  reject(error: Error): void
}

const HEAD_END = '\r\n\r\n'

/**
 * The least HTTP/1.1 that a load generator needs: connections that stay open, one request at a time on
 * each, bodies with a content length. A full client would cost more of the machine than what is measured.
 */
export class HttpClient {
  readonly #host: string
  readonly #port: number
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#host = hostname
    this.#port = Number(port)
  }

  /** Sends one request on a connection that is free, or on a new one. */
  async request(
    method: 'GET' | 'POST',
    path: string,
    { body, headers = '' }: { body?: string; headers?: string } = {},
  ): Promise<HttpAnswer> {
    const connection = this.#free() ?? this.#open()
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}:${this.#port}\r\n${headers}`
    const rest =
      body === undefined
        ? '\r\n'
        : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    const answer = await connection.send(head + rest)
    if (connection.alive) this.#idle.push(connection)
    return answer
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#all.size
  }

  close(): void {
    for (const connection of this.#all) connection.destroy()
  }

  /** One that is idle, unless the server has closed it meanwhile. */
  #free(): Connection | undefined {
    for (let free = this.#idle.pop(); free; free = this.#idle.pop()) if (free.alive) return free
    return undefined
  }

  #open(): Connection {
    const connection = new Connection(connect({ host: this.#host, port: this.#port, noDelay: true }), () =>
      this.#all.delete(connection),
    )
    this.#all.add(connection)
    return connection
  }
}

class Connection {
  readonly #socket: Socket
  #waiting: Waiting | undefined
  #text = ''
  alive = true

  constructor(socket: Socket, onClose: () => void) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => this.#receive(String(chunk)))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => {
      onClose()
      this.#fail(new Error('The connection was closed.'))
    })
  }

  send(request: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (!this.alive) return reject(new Error('The connection was closed.'))
      this.#waiting = { resolve, reject }
      this.#socket.write(request)
    })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #receive(chunk: string): void {
    this.#text += chunk
    const headEnd = this.#text.indexOf(HEAD_END)
    if (headEnd === -1) return
    const head = this.#text.slice(0, headEnd)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN)
    if (Number.isNaN(length)) {
      this.#fail(new Error(`An answer without a content length: ${head}`))
      return
    }
    const bodyStart = headEnd + HEAD_END.length
    if (this.#text.length < bodyStart + length) return
    const body = this.#text.slice(bodyStart, bodyStart + length)
    this.#text = ''
    if (/\r\nconnection: *close/i.test(head)) {
      this.alive = false
      this.#socket.end()
    }
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve({
      status: Number(head.slice(9, 12)),
      retryAfter: /\r\nretry-after:/i.test(head),
      body,
    })
  }

  #fail(error: Error): void {
    this.alive = false
    this.#socket.destroy()
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(error)
  }
}
