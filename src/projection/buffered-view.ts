import type { DigestMark } from './audit.ts'
import type { Checkpoint, CommitOutcome, NamedEffect, Trial, ViewChange, ViewStore } from './contract.ts'
import { passesMark } from './digest.ts'
import { ViewDecorator } from './view-decorator.ts'

export interface BufferOptions {
  /** Changed documents that are held back at the most; one batch may go beyond. */
  maxDocuments: number
  /**
   * How long a change is held back at the least, in milliseconds, unless there are too many documents. As many documents
   * take a while to write, the next ones are held back for {@link WORK_PER_WRITING} times as long.
   */
  minMs: number
  /** Documents that whoever reads from here keeps and does not ask for again, as long as there are no more. */
  readerKeeps: number
  /** A clock, in milliseconds. */
  now: () => number
}

/** How much longer than the last write took the work before the next one lasts: so little of a build is writing. */
const WORK_PER_WRITING = 8

/**
 * A view that is built: changes of many batches are committed as one, so that a document that changes a
 * hundred times is written once. What is held back is lost if the process dies, checkpoint and documents
 * together, and is made again from the log.
 *
 * A batch that parks, settles or gives up an event, or tries a single one, is committed at once with all before it.
 *
 * What could not be committed is held back no longer: only part of it is here (what it parks and settles is not), so that
 * committing the rest later would be another change than the one that failed. The reader begins anew from the view below.
 */
export class BufferedView extends ViewDecorator {
  readonly #options: BufferOptions
  readonly #documents = new Map<string, unknown>()
  readonly #effects: NamedEffect[] = []
  readonly #withheld: NamedEffect[] = []
  readonly #marks: DigestMark[] = []
  /** As a reader sees it, and as the view below has it. */
  #checkpoint: Checkpoint | undefined
  #below: Checkpoint | undefined
  #since: number | undefined
  /** How long the last write took. */
  #writingMs = 0
  /** Documents that were asked for since the view was opened empty; undefined if it was not empty. */
  #asked: number | undefined
  #single = false
  /** The revision of the view below at which the last trial began. */
  #triedAt: number | undefined

  constructor(view: ViewStore, options: BufferOptions) {
    super(view)
    this.#options = options
  }

  override async checkpoint(): Promise<Checkpoint> {
    if (!this.#checkpoint) {
      this.#checkpoint = this.#below = await this.view.checkpoint()
      if (this.#checkpoint.revision === 0) this.#asked = 0
    }
    return this.#checkpoint
  }

  override async load(keys: Iterable<string>): Promise<Map<string, unknown>> {
    const wanted = [...keys]
    if (this.#asked !== undefined) this.#asked += wanted.length
    // Nobody has forgotten a document yet, so one that is asked for was never made.
    if (this.#asked !== undefined && this.#asked <= this.#options.readerKeeps) return new Map()
    this.#asked = undefined
    const loaded = await this.view.load(wanted.filter((key) => !this.#documents.has(key)))
    for (const key of wanted) {
      const document = this.#documents.get(key)
      if (document !== undefined && document !== null) loaded.set(key, document)
    }
    return loaded
  }

  override async commit(change: ViewChange): Promise<CommitOutcome> {
    const before = this.#checkpoint
    // Nobody has read it since a commit failed: the change was computed from what is gone.
    if (before?.revision !== change.expectedRevision) return { kind: 'superseded' }
    this.#since ??= this.#options.now()
    const revision = before.revision + 1
    const after = { ...before, ...change.advanceTo, revision }
    if (passesMark(before.processed, after.processed)) this.#marks.push(after)
    for (const [key, document] of change.documents) this.#documents.set(key, document)
    this.#effects.push(...change.effects)
    this.#withheld.push(...(change.withheld ?? []))
    this.#checkpoint = after
    const { parked, settled, discarded = [] } = change
    const atOnce = this.#single || parked.length + settled.length + discarded.length > 0
    if (!atOnce && !this.#isFull()) return { kind: 'committed', revision }
    return this.#flush({ parked, settled, discarded })
  }

  /** Remembers the trial of a whole batch only; that of a single event begins after all before it is stored. */
  override async beginTrial(trial: Trial, revision: number): Promise<void> {
    this.#single = trial.from === trial.to
    if (this.#single) await this.flush()
    if (!this.#below || this.#checkpoint?.revision !== revision) return
    this.#triedAt = this.#below.revision
    await this.view.beginTrial(trial, this.#triedAt)
  }

  override async endTrial(): Promise<void> {
    if (this.#triedAt !== undefined) await this.view.endTrial(this.#triedAt)
  }

  /** Commits what is held back. */
  async flush(): Promise<void> {
    if (this.#since !== undefined) await this.#flush({ parked: [], settled: [] })
  }

  override async close(): Promise<void> {
    await this.flush()
    await this.view.close()
  }

  #isFull(): boolean {
    const { maxDocuments, minMs, now } = this.#options
    if (this.#documents.size >= maxDocuments) return true
    return now() - (this.#since ?? now()) >= Math.max(minMs, WORK_PER_WRITING * this.#writingMs)
  }

  async #flush(parking: Pick<ViewChange, 'parked' | 'settled' | 'discarded'>): Promise<CommitOutcome> {
    const checkpoint = this.#checkpoint as Checkpoint
    const { position, processed, digest, revision } = checkpoint
    const asked = this.#asked
    const began = this.#options.now()
    let outcome: CommitOutcome
    try {
      outcome = await this.view.commit({
        ...parking,
        expectedRevision: (this.#below as Checkpoint).revision,
        advanceTo: { position, processed, digest },
        // In the order of the keys neighbours are written together.
        documents: [...this.#documents].sort(([one], [other]) => (one < other ? -1 : 1)),
        effects: this.#effects,
        withheld: this.#withheld,
        marks: this.#marks,
      })
    } finally {
      this.#letGo()
    }
    this.#writingMs = this.#options.now() - began
    if (outcome.kind === 'superseded') return outcome
    this.#below = { position, processed, digest, revision: outcome.revision }
    this.#checkpoint = checkpoint
    this.#asked = asked
    return { kind: 'committed', revision }
  }

  /** Forgets all that was held back, and what it rests on. */
  #letGo(): void {
    this.#documents.clear()
    this.#effects.length = 0
    this.#withheld.length = 0
    this.#marks.length = 0
    this.#since = undefined
    this.#checkpoint = this.#below = undefined
    this.#asked = undefined
  }
}
