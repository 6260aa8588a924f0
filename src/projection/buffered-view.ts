import { KeptSize } from '../kernel/kept-size.ts'
import type { DigestMark } from './audit.ts'
import type { Checkpoint, CommitOutcome, NamedEffect, Trial, ViewChange, ViewStore } from './contract.ts'
import { passesMark } from './digest.ts'
import { ViewDecorator } from './view-decorator.ts'

export interface BufferOptions {
  /** How many documents (changed or not) and effects are kept in memory at most; one batch may go beyond. */
  maxDocuments: number
  /** How much memory those documents may take, in bytes. The size is estimated; one batch may go beyond. */
  maxBytes: number
  /**
   * How long changes are held back, in milliseconds. Writing many documents takes a while, so they are held back for at
   * least {@link WORK_PER_WRITING} times the duration of the last write.
   */
  heldBackMs: HoldingBack
  /** A clock, in milliseconds. */
  now: () => number
}

/** How long a build holds changes back, in milliseconds. This much of its work is lost if the process dies. */
export interface HoldingBack {
  /**
   * For the first changes of a view that was empty. They are stored soon, so that the view shows that its build has
   * begun.
   */
  readonly first: number
  /**
   * The shortest time after that. For a view that was not empty it is also the longest: its build was interrupted
   * before and may be interrupted again.
   */
  readonly least: number
  /** The longest time. Until then, documents wait for more changes, so that each is written once for many of them. */
  readonly most: number
}

/**
 * The work between two writes takes at least this many times as long as the last write, so that a build spends little
 * of its time writing.
 */
const WORK_PER_WRITING = 8

/** From this many events per changed document on, changes are written without more waiting, which would save little. */
const EVENTS_PER_DOCUMENT = 8

/** A document as readers see it: null if it is removed, undefined if there is none. */
interface Entry {
  readonly key: string
  document: unknown
  /** Whether it differs from the document in the view below. */
  changed: boolean
}

/**
 * A view that is being built. Changes of many batches are committed as one, so that a document that changes a hundred
 * times is written once. This is also the memory of the build: documents that were read or written stay in it. They are
 * in one map with those that are held back, because with many documents each lookup in a map has to wait for main
 * memory. If the process dies, what is held back is lost, checkpoint and documents together, and is made again from the
 * log.
 *
 * A batch that parks, settles or gives up an event, or that tries a single event, is committed at once, together with
 * everything before it.
 *
 * After a commit that failed, nothing is held back any longer. Only part of the change is here (what it parks and
 * settles is not), so committing the rest later would be another change than the one that failed. Instead, the reader
 * starts again from the view below.
 */
export class BufferedView extends ViewDecorator {
  readonly #options: BufferOptions
  readonly #entries = new Map<string, Entry>()
  readonly #size = new KeptSize()
  #changed: Entry[] = []
  readonly #effects: NamedEffect[] = []
  readonly #withheld: NamedEffect[] = []
  readonly #marks: DigestMark[] = []
  /** The checkpoint as readers see it, and (`#below`) as the view below has it. */
  #checkpoint: Checkpoint | undefined
  #below: Checkpoint | undefined
  #since: number | undefined
  /** How long the last write took. */
  #writingMs = 0
  /**
   * Whether every document of the view has an entry: the view was empty when it was opened, and no entry has been
   * dropped since.
   */
  #isWhole = false
  #wasInterrupted = false
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
      this.#isWhole = this.#checkpoint.revision === 0
      this.#wasInterrupted = !this.#isWhole
    }
    return this.#checkpoint
  }

  override async load(keys: Iterable<string>): Promise<Map<string, unknown>> {
    const documents = new Map<string, unknown>()
    const missing: string[] = []
    for (const key of keys) {
      const entry = this.#entries.get(key)
      if (entry) {
        if (entry.document !== undefined && entry.document !== null) documents.set(key, entry.document)
      } else if (!this.#isWhole) missing.push(key)
    }
    if (missing.length === 0) return documents
    const loaded = await this.view.load(missing)
    for (const key of missing) {
      const document = loaded.get(key)
      this.#size.note(document)
      this.#entries.set(key, { key, document, changed: false })
      if (document !== undefined) documents.set(key, document)
    }
    return documents
  }

  override async commit(change: ViewChange): Promise<CommitOutcome> {
    const before = this.#checkpoint
    // Another revision, or none: the checkpoint has not been read again since a commit failed. Then the change was
    // computed from state that is gone.
    if (before?.revision !== change.expectedRevision) return { kind: 'superseded' }
    this.#since ??= this.#options.now()
    const revision = before.revision + 1
    const after = { ...before, ...change.advanceTo, revision }
    if (passesMark(before.processed, after.processed)) this.#marks.push(after)
    for (const [key, document] of change.documents) this.#change(key, document)
    this.#effects.push(...change.effects)
    this.#withheld.push(...(change.withheld ?? []))
    this.#checkpoint = after
    const { parked, settled, discarded = [] } = change
    const atOnce = this.#single || parked.length + settled.length + discarded.length > 0
    if (!atOnce && !this.#isFull()) return { kind: 'committed', revision }
    return this.#flush({ parked, settled, discarded })
  }

  /** Stores the trial in the view below. For a trial of a single event, everything held back is stored first. */
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

  #change(key: string, document: unknown): void {
    let entry = this.#entries.get(key)
    if (!entry) {
      entry = { key, document, changed: false }
      this.#entries.set(key, entry)
    }
    entry.document = document
    this.#size.note(document)
    if (entry.changed) return
    entry.changed = true
    this.#changed.push(entry)
  }

  #isFull(): boolean {
    const kept = this.#entries.size + this.#effects.length + this.#withheld.length
    return kept >= this.#options.maxDocuments || this.#isLarge() || this.#isTime()
  }

  #isLarge(): boolean {
    return this.#size.of(this.#entries.size) >= this.#options.maxBytes
  }

  #isTime(): boolean {
    const { heldBackMs, now } = this.#options
    const { first, least, most } = heldBackMs
    const held = now() - (this.#since ?? now())
    const isFirst = this.#below?.revision === 0
    if (held < Math.max(isFirst ? first : least, WORK_PER_WRITING * this.#writingMs)) return false
    if (isFirst || this.#wasInterrupted || held >= most) return true
    const events = (this.#checkpoint?.processed ?? 0) - (this.#below?.processed ?? 0)
    return events >= EVENTS_PER_DOCUMENT * this.#changed.length
  }

  async #flush(parking: Pick<ViewChange, 'parked' | 'settled' | 'discarded'>): Promise<CommitOutcome> {
    const checkpoint = this.#checkpoint as Checkpoint
    const { position, processed, digest, revision } = checkpoint
    const began = this.#options.now()
    let outcome: CommitOutcome | undefined
    try {
      outcome = await this.view.commit({
        ...parking,
        expectedRevision: (this.#below as Checkpoint).revision,
        advanceTo: { position, processed, digest },
        // Sorted by key, so that documents that are neighbours in the file are written together.
        documents: this.#changed.sort(byKey).map(({ key, document }) => [key, document] as const),
        effects: this.#effects,
        withheld: this.#withheld,
        marks: this.#marks,
      })
    } finally {
      if (outcome?.kind === 'committed') this.#keep()
      else this.#letGo()
    }
    this.#writingMs = this.#options.now() - began
    if (outcome.kind === 'superseded') return outcome
    this.#below = { position, processed, digest, revision: outcome.revision }
    return { kind: 'committed', revision }
  }

  /** Called when what was held back is stored. The documents stay in memory for readers, unless there are too many. */
  #keep(): void {
    for (const entry of this.#changed) entry.changed = false
    this.#forgetChanges()
    if (this.#entries.size < this.#options.maxDocuments && !this.#isLarge()) return
    this.#entries.clear()
    this.#isWhole = false
  }

  /** Forgets everything that was held back, and the state on which it was based. */
  #letGo(): void {
    this.#forgetChanges()
    this.#entries.clear()
    this.#isWhole = false
    this.#checkpoint = this.#below = undefined
  }

  #forgetChanges(): void {
    this.#changed = []
    this.#effects.length = 0
    this.#withheld.length = 0
    this.#marks.length = 0
    this.#since = undefined
  }
}

function byKey(one: Entry, other: Entry): number {
  return one.key < other.key ? -1 : 1
}
