import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { CqrsError } from '../kernel/errors.ts'

/** The form of a secret: characters that a header can carry, and enough of them that it cannot be guessed. */
export const SECRET = /^[\x21-\x7e]{32,512}$/

/** A secret from a file. */
export interface SecretFile {
  readonly secret: string
  /** Whether other users could read the file. They no longer can, but may know the secret. */
  readonly wasExposed: boolean
}

/**
 * Reads a secret from a file. If other users could read the file, its mode is set to 0600.
 *
 * @returns undefined if there is no such file
 * @throws CqrsError CQRS_CONFIG_INVALID if it cannot be read or does not hold a secret
 */
export function readSecretFile(path: string): SecretFile | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(path, error)
  }
  try {
    const wasExposed = (fstatSync(fd).mode & 0o077) !== 0
    if (wasExposed) chmodSync(path, 0o600)
    const secret = readFileSync(fd, 'utf8').trim()
    if (SECRET.test(secret)) return { secret, wasExposed }
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    closeSync(fd)
  }
  throw new CqrsError(
    'CQRS_CONFIG_INVALID',
    `${path} does not contain a secret, which is one line of 32 to 512 visible ASCII characters. Remove the file; the next start creates a new one.`,
  )
}

/**
 * Reads the secret of a file. If there is no file, creates it with a random secret and mode 0600. If several processes
 * do this at the same moment, one creates the file and all get the same secret: the file is put in place with a link,
 * so it appears complete or not at all.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID
 */
export function readOrCreateSecretFile(path: string, random = () => randomBytes(32)): SecretFile {
  const found = readSecretFile(path)
  if (found) return found
  const draft = `${path}.${randomUUID()}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const fd = openSync(draft, 'wx', 0o600)
    writeSync(fd, `${random().toString('base64url')}\n`)
    fsyncSync(fd)
    closeSync(fd)
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unreadable(path, error)
  } finally {
    remove(draft)
  }
  return readSecretFile(path) ?? readOrCreateSecretFile(path, random)
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function unreadable(path: string, cause: unknown): CqrsError {
  const message = `The secret ${path} cannot be read or created: ${(cause as Error).message}. Check the owner and the permissions of the file and of the data folder.`
  return new CqrsError('CQRS_CONFIG_INVALID', message, { cause })
}
