import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { between, oneOf } from './random.ts'

/** The first byte of such a page; see https://www.sqlite.org/fileformat2.html#b_tree_pages. */
const LEAF_OF_KEYS = 0x0a

/** Copies a store with everything that lies beside it, as a crash would leave it. */
export function copyStore(from: string, to: string): void {
  for (const suffix of ['', '-wal', '-mark']) {
    if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix)
  }
}

/**
 * The pages of a closed store's indexes and tables with text keys, each time with one of the pointers to its entries
 * replaced by that of an entry nearby. Each entry is whole, but a search finds some of them under other keys.
 */
export function* withMisledPointers(store: string): Generator<Buffer> {
  const bytes = readFileSync(store)
  const pageSize = bytes.readUInt16BE(16)
  for (let page = pageSize; page < bytes.length; page += pageSize) {
    if (bytes[page] !== LEAF_OF_KEYS) continue
    const entries = bytes.readUInt16BE(page + 3)
    for (let entry = 0; entry < entries; entry += 1) {
      for (let other = Math.max(0, entry - 4); other <= Math.min(entries - 1, entry + 4); other += 1) {
        const misled = Buffer.from(bytes)
        misled.copyWithin(page + 8 + 2 * entry, page + 8 + 2 * other, page + 10 + 2 * other)
        if (other !== entry) yield misled
      }
    }
  }
}

/** Damages a store's file or its write-ahead log somewhere; says how. */
export function damage(random: () => number, store: string): string {
  const path = oneOf(
    random,
    [store, `${store}-wal`].filter((file) => existsSync(file) && readFileSync(file).length > 0),
  )
  const bytes = readFileSync(path)
  const at = between(random, 0, bytes.length - 1)
  const kind = oneOf(random, ['bit', 'bit', 'bit', 'byte', 'block', 'cut'] as const)
  if (kind === 'cut') truncateSync(path, at)
  else {
    if (kind === 'bit') bytes[at] = (bytes[at] ?? 0) ^ (1 << between(random, 0, 7))
    if (kind === 'byte') bytes[at] = between(random, 0, 255)
    if (kind === 'block') bytes.fill(0, at - (at % 512), Math.min(bytes.length, at - (at % 512) + 512))
    writeFileSync(path, bytes)
  }
  return `${kind} at ${at} of ${path.endsWith('-wal') ? 'the write-ahead log' : 'the file'} (${bytes.length} bytes)`
}
