import type { ViewStore } from './contract.ts'
import type { Documents, PreparedEvent } from './fold.ts'

/**
 * Committed documents of a view, so that a batch need not read again what an earlier one has read or written. With many
 * documents, nearly every lookup here misses the processor's caches. So each key of a batch is looked up once, and the
 * fold then works on a small map of the batch's own documents.
 */
export class DocumentCache {
  readonly #view: Pick<ViewStore, 'load'>
  readonly #size: number
  readonly #documents: Documents = new Map()

  /** @param size how many documents are kept; when there are more, all are dropped. 0 if the view itself keeps them */
  constructor(view: Pick<ViewStore, 'load'>, size: number) {
    this.#view = view
    this.#size = size
  }

  /** The documents of a batch, as a map that the fold may change. A key that has no document has no value in it. */
  async of(batch: Iterable<readonly string[]>): Promise<Documents> {
    if (this.#size === 0) return this.#view.load(new Set(flat(batch)))
    const documents: Documents = new Map()
    const missing: string[] = []
    for (const keys of batch) {
      for (const key of keys) {
        if (documents.has(key)) continue
        const document = this.#documents.get(key)
        documents.set(key, document)
        if (document === undefined && !this.#documents.has(key)) missing.push(key)
      }
    }
    if (missing.length === 0) return documents
    const loaded = await this.#view.load(missing)
    for (const key of missing) {
      const document = loaded.get(key)
      documents.set(key, document)
      this.#documents.set(key, document)
    }
    return documents
  }

  /** Keeps what a batch has committed. */
  keep(changed: Iterable<readonly [key: string, document: unknown]>): void {
    if (this.#size === 0) return
    for (const [key, document] of changed) this.#documents.set(key, document)
    if (this.#documents.size > this.#size) this.#documents.clear()
  }

  clear(): void {
    this.#documents.clear()
  }
}

function* flat(batch: Iterable<readonly string[]>): Generator<string> {
  for (const keys of batch) yield* keys
}

/** The keys of the documents that each event touches. */
export function* keysOf(prepared: readonly PreparedEvent[]): Generator<readonly string[]> {
  for (const event of prepared) if (event.ok) yield event.keys
}
