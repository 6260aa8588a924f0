import type { ViewStore } from './contract.ts'
import type { Documents, PreparedEvent } from './fold.ts'

/**
 * Documents of a view as they were committed, so that a batch need not read again what one before it has read or written.
 * With many documents nearly every look here misses the processor's caches, so that there is one for each key of a
 * batch, whose own documents are a small map.
 */
export class DocumentCache {
  readonly #view: Pick<ViewStore, 'load'>
  readonly #size: number
  readonly #documents: Documents = new Map()

  /** @param size documents that are kept; when there are more, all are dropped. 0: the view keeps them by itself */
  constructor(view: Pick<ViewStore, 'load'>, size: number) {
    this.#view = view
    this.#size = size
  }

  /** The documents of a batch, to be changed as it is folded; without those that the view does not have. */
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

  /** Takes over what a batch has committed. */
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

/** The keys of the documents that events touch. */
export function* keysOf(prepared: readonly PreparedEvent[]): Generator<readonly string[]> {
  for (const event of prepared) if (event.ok) yield event.keys
}
