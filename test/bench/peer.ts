/** What a peer's task is asked to do: to add one at a time from several callers, then to work off what it added. */
export interface PeerInput {
  /** Its server, or the file it may make. */
  readonly at: string
  readonly callers: number
  readonly seconds: number
  readonly streams: number
}

export interface PeerOutput {
  readonly addedPerSecond: number
  /** Undefined for an event store. */
  readonly workedPerSecond?: number
  /** Adds that failed, e.g. because a lock was not to be had. */
  readonly failed: number
  /** What of it was not as durable as ours, if anything. */
  readonly weaker?: string
}
