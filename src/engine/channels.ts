import { randomUUID } from 'node:crypto'
import { PassThrough } from 'node:stream'

/** Which end of a channel, seen from the worker that holds it. */
export type Direction = 'read' | 'write'

/** One message of a channel, as its writer sent it. */
export interface ChannelItem {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** A reference to one end of a channel. Any worker that has it may open that end. */
export interface ChannelRef {
  readonly channel_id: string
  readonly access_key: string
  readonly direction: Direction
}

/** How a channel is made. */
export interface ChannelOptions {
  /** Messages that may wait for the reader before the writer is held back. Default 64. */
  readonly bufferSize?: number
  /**
   * Time in milliseconds after which nobody can connect any more, and the channel is cut unless both ends were opened.
   * Default: never.
   */
  readonly timeToLiveMs?: number
  /** Fills the channel once its reading end is opened. If it is set, nobody else can open the writing end. */
  readonly source?: (pipe: PassThrough) => void
}

const BUFFER_SIZE = 64

/** A one-way pipe of messages; each end can be opened once. */
export class Channel {
  readonly id = randomUUID()
  readonly accessKey = randomUUID()
  /** Resolves when somebody opens the writing end. */
  readonly written: Promise<void>
  readonly #bufferSize: number
  readonly #opened = new Set<Direction>()
  readonly #onWritten: () => void
  readonly #source: ((pipe: PassThrough) => void) | undefined
  /** Created on first use, because most HTTP requests come with two channels that nobody opens. */
  #pipe: PassThrough | undefined

  constructor({ bufferSize = BUFFER_SIZE, source }: ChannelOptions) {
    this.#bufferSize = bufferSize
    this.#source = source
    if (source !== undefined) this.#opened.add('write')
    const { promise, resolve } = Promise.withResolvers<void>()
    this.written = promise
    this.#onWritten = resolve
  }

  /** Whether both ends have been opened. */
  get isConnected(): boolean {
    return this.#opened.size === 2
  }

  /** Opens an end, an object stream of {@link ChannelItem}; undefined if it was opened before. */
  open(direction: Direction): PassThrough | undefined {
    if (this.#opened.has(direction)) return undefined
    this.#opened.add(direction)
    if (this.#pipe === undefined) {
      this.#pipe = new PassThrough({ objectMode: true, highWaterMark: this.#bufferSize })
      // Ignored here: the users of both ends see the close, and the reason concerns only the end that failed.
      this.#pipe.on('error', () => {})
    }
    if (direction === 'write') this.#onWritten()
    else this.#source?.(this.#pipe)
    return this.#pipe
  }

  ref(direction: Direction): ChannelRef {
    return { channel_id: this.id, access_key: this.accessKey, direction }
  }

  /** Cuts both ends. */
  destroy(): void {
    this.#pipe?.destroy()
  }
}

/** The channels that workers may connect to. */
export class Channels {
  readonly #channels = new Map<string, Channel>()
  readonly #timers = new Map<string, NodeJS.Timeout>()

  create(options: ChannelOptions = {}): Channel {
    const { timeToLiveMs } = options
    const channel = new Channel(options)
    this.#channels.set(channel.id, channel)
    if (timeToLiveMs !== undefined) {
      const timer = setTimeout(() => this.#expire(channel), timeToLiveMs)
      this.#timers.set(channel.id, timer.unref())
    }
    return channel
  }

  /** The channel of that id, if the key is its own. */
  get(id: string, accessKey: string): Channel | undefined {
    const channel = this.#channels.get(id)
    return channel?.accessKey === accessKey ? channel : undefined
  }

  /** Refuses further connections to a channel; ends that are open stay open. */
  remove(channel: Channel): void {
    clearTimeout(this.#timers.get(channel.id))
    this.#timers.delete(channel.id)
    this.#channels.delete(channel.id)
  }

  /** Cuts all channels. */
  close(): void {
    for (const channel of [...this.#channels.values()]) {
      this.remove(channel)
      channel.destroy()
    }
  }

  #expire(channel: Channel): void {
    this.remove(channel)
    if (!channel.isConnected) channel.destroy()
  }
}
