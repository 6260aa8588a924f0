/** To the thread that takes checkpoints: look after the store at `path`, or leave it. */
export type CheckpointOrder =
  | { readonly kind: 'watch'; readonly id: number; readonly path: string }
  | { readonly kind: 'leave'; readonly id: number }

/** From it: that store is closed there, because it was told so, or because a checkpoint met an error of the disk. */
export interface CheckpointAnswer {
  readonly kind: 'left' | 'failed'
  readonly id: number
}
