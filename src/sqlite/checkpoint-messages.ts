/** To the checkpoint thread: look after the store at `path`, or stop doing so. */
export type CheckpointOrder =
  | { readonly kind: 'watch'; readonly id: number; readonly path: string }
  | { readonly kind: 'leave'; readonly id: number }

/**
 * From the checkpoint thread: it has closed that store, because it was told to, or because a checkpoint met a disk
 * error.
 */
export interface CheckpointAnswer {
  readonly kind: 'left' | 'failed'
  readonly id: number
}
