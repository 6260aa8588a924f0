import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { foldWal } from './fold-wal.ts'

/** `document`: a byte of one document changed; the others make a page garbage, or cut the file in the middle. */
export type ViewDamageKind =
  | 'document'
  | 'document page'
  | 'index page'
  | 'effects page'
  | 'header page'
  | 'cut'

/** The tables and indexes, the last page of one of which is garbage. */
const TREES: Partial<Record<ViewDamageKind, string>> = {
  'document page': 'documents',
  'index page': 'documents_by_*',
  'effects page': 'effects',
}

/**
 * Damages the file of a view while nobody has it open.
 *
 * @param text of the document whose bytes change, from its beginning
 */
export function damageView(path: string, kind: ViewDamageKind, text = ''): void {
  foldWal(path)
  const db = new DatabaseSync(path)
  const size = Number(db.prepare('PRAGMA page_size').get()?.page_size)
  const tree = TREES[kind]
  const page = db.prepare('SELECT max(pageno) AS page FROM dbstat WHERE name GLOB ?').get(tree ?? '')?.page
  db.close()
  if (kind === 'document') {
    const bytes = readFileSync(path)
    // Earlier versions of it may lie in free space.
    const found = [...places(bytes, text)]
    if (found.length === 0) throw new Error(`There is no document ${text}.`)
    for (const at of found) garble(path, at + text.length - 1, 1)
  } else if (kind === 'cut') truncateSync(path, Math.floor(statSync(path).size / size / 2) * size)
  else garble(path, (Number(page ?? 1) - 1) * size, size)
}

function* places(bytes: Buffer, text: string): Generator<number> {
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) yield at
}

function garble(path: string, at: number, size: number): void {
  const garbage = readFileSync(path)
    .subarray(at, at + size)
    .map((byte) => byte ^ 0xa5)
  const file = openSync(path, 'r+')
  writeSync(file, garbage, 0, size, at)
  closeSync(file)
}
