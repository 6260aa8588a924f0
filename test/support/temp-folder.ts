import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'

/** A folder of its own for one test, removed when the test ends. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A folder that all tests of one file share, removed after the last of them. */
export function tempFolderOfFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-test-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
