import { KeptSize } from '../kernel/kept-size.ts'
import type { ViewStore } from './contract.ts'
import type { Documents, PreparedEvent } from './fold.ts'

/** How much a {@link DocumentCache} may keep. */
export interface DocumentCacheLimits {
  /** How many documents are kept; if there are more, all are dropped. 0 keeps none: the view keeps them itself. */
  readonly documents: number
  /**
   * How much memory the kept documents may take, in bytes. The size is estimated. The documents that are read for one
   * batch have the same limit.
   */
  readonly bytes: number
}

/** The documents of the first events of a batch. */
export interface BatchDocuments {
  /** The documents by key, for the fold to change. A key without a document has the value undefined. */
  readonly documents: Documents
  /**
   * How many events of the batch these documents are for, at least one. Not all of them if the documents are so large
   * that they reach the memory limit.
   */
  readonly events: number
}

/** How many documents are read at once as long as their size is not known. */
const FIRST_READ = 64

/** The most documents that are read at once. */
const MOST_READ = 1_000

/**
 * Committed documents of a view, so that a batch need not read again what an earlier one has read or written. With many
 * documents, nearly every lookup here misses the processor's caches. So each key of a batch is looked up once, and the
 * fold then works on a small map of the batch's own documents.
 */
export class DocumentCache {
  readonly #view: Pick<ViewStore, 'load'>
  readonly #limits: DocumentCacheLimits
  readonly #documents: Documents = new Map()
  readonly #size = new KeptSize()

  constructor(view: Pick<ViewStore, 'load'>, limits: DocumentCacheLimits) {
    this.#view = view
    this.#limits = limits
  }

  /**
   * The documents of a batch, or of its first events.
   *
   * @param batch the keys that each event touches
   */
  async of(batch: Iterable<readonly string[]>): Promise<BatchDocuments> {
    const documents: Documents = new Map()
    let missing: string[] = []
    let events = 0
    let read = 0
    for (const keys of batch) {
      for (const key of keys) {
        if (documents.has(key)) continue
        const document = this.#documents.get(key)
        documents.set(key, document)
        if (document === undefined && !this.#documents.has(key)) missing.push(key)
      }
      events += 1
      if (missing.length < this.#readAtOnce()) continue
      read += await this.#load(missing, documents)
      missing = []
      if (this.#size.of(read) > this.#limits.bytes) return { documents, events }
    }
    if (missing.length > 0) await this.#load(missing, documents)
    return { documents, events }
  }

  /** Keeps what a batch has committed. */
  keep(changed: Iterable<readonly [key: string, document: unknown]>): void {
    const { documents, bytes } = this.#limits
    if (documents === 0) return
    for (const [key, document] of changed) {
      this.#size.note(document)
      this.#documents.set(key, document)
    }
    const kept = this.#documents.size
    if (kept > documents || this.#size.of(kept) > bytes) this.#documents.clear()
  }

  clear(): void {
    this.#documents.clear()
  }

  /** @returns how many of the keys have a document */
  async #load(keys: readonly string[], documents: Documents): Promise<number> {
    const loaded = await this.#view.load(keys)
    for (const key of keys) {
      const document = loaded.get(key)
      this.#size.note(document)
      documents.set(key, document)
      if (this.#limits.documents > 0) this.#documents.set(key, document)
    }
    return loaded.size
  }

  #readAtOnce(): number {
    const one = this.#size.of(1)
    if (one === 0) return FIRST_READ
    return Math.min(MOST_READ, Math.max(1, Math.floor(this.#limits.bytes / one / 4)))
  }
}

/** The keys of the documents that each event touches. */
export function* keysOf(prepared: readonly PreparedEvent[]): Generator<readonly string[]> {
  for (const event of prepared) yield event.ok ? event.keys : []
}
