import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { between, oneOf } from './random.ts'

/** Copies a store with everything that lies beside it, as a crash would leave it. */
export function copyStore(from: string, to: string): void {
  for (const suffix of ['', '-wal', '-mark']) {
    if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix)
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
