import { createHash, timingSafeEqual } from 'node:crypto'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Config } from '../../config/config.ts'
import { dataPaths } from '../../config/paths.ts'
import { readOrCreateSecretFile } from '../../config/secret-file.ts'
import { CqrsError } from '../../kernel/errors.ts'
import type { OfferedFunction } from '../link/offer.ts'
import { toRemote } from '../link/remote-error.ts'
import { workerSecret } from '../link/worker-secret.ts'

/** What a token allows; `change` includes `read`. */
export type Scope = 'read' | 'change'

const MINUTE_MS = 60_000

/** Replaces each secret that {@link OpsAccess.redact} finds. */
const WITHHELD = '[secret]'

/** The metadata of a call that carries a token. */
const shown = z.object({ token: z.string() })

export interface OpsAccessOptions {
  readonly token: string
  readonly readToken: string
  /** The secret that workers send to the engine, if there is one. It gives no access here; it is only redacted. */
  readonly workerSecret?: string | undefined
  /** How many wrong tokens are answered as wrong within a minute; any more are told to stop. */
  readonly failuresPerMinute: number
  readonly log: Logger
  /** The clock, in milliseconds. */
  now(): number
}

/**
 * Decides who may do what operators do: knows the two tokens, compares in constant time, and limits failures. A right
 * token is accepted at any time, so that nobody can lock operators out by guessing. A token has 256 random bits and
 * cannot be guessed anyway; the limit only protects the log and other users from a flood of attempts.
 */
export class OpsAccess {
  readonly #options: OpsAccessOptions
  readonly #token: Buffer
  readonly #readToken: Buffer
  /** The secrets as they appear in JSON text. */
  readonly #secrets: readonly string[]
  #windowEndsAt = 0
  #failures = 0

  constructor(options: OpsAccessOptions) {
    this.#options = options
    this.#token = digest(options.token)
    this.#readToken = digest(options.readToken)
    this.#secrets = [options.token, options.readToken, options.workerSecret]
      .filter((secret) => secret !== undefined)
      .map((secret) => JSON.stringify(secret).slice(1, -1))
  }

  /** @throws CqrsError CQRS_UNAUTHORIZED, CQRS_FORBIDDEN or CQRS_TOO_MANY_FAILURES */
  check(token: string | undefined, scope: Scope): void {
    const given = digest(token ?? '')
    const mayChange = timingSafeEqual(given, this.#token)
    const mayRead = timingSafeEqual(given, this.#readToken)
    if (mayChange || (mayRead && scope === 'read')) return
    if (mayRead) {
      throw new CqrsError(
        'CQRS_FORBIDDEN',
        'This token is read-only. To change something, use the one in ops.token of the data folder.',
      )
    }
    this.#failed(token !== undefined)
  }

  /**
   * Removes the secrets that somebody put into a JSON value by mistake, in texts and in keys. Everything that is
   * stored, logged and answered is made from the result.
   */
  redact<Value>(value: Value): Value {
    const text = JSON.stringify(value) ?? ''
    const clean = this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, WITHHELD), text)
    return clean === text ? value : JSON.parse(clean)
  }

  #failed(wasGiven: boolean): never {
    const { failuresPerMinute, log, now } = this.#options
    if (now() >= this.#windowEndsAt) {
      this.#windowEndsAt = now() + MINUTE_MS
      this.#failures = 0
    }
    this.#failures += 1
    if (this.#failures > failuresPerMinute) {
      const seconds = Math.ceil((this.#windowEndsAt - now()) / 1_000)
      const message = `Too many requests with a wrong token or none. Send the right one: it is accepted at any time. The count ends in ${seconds} s.`
      throw new CqrsError('CQRS_TOO_MANY_FAILURES', message, { details: { retryAfterSeconds: seconds } })
    }
    log.warn({ failures: this.#failures }, 'an operation was refused: its token is missing or wrong')
    const message = wasGiven
      ? 'This is not the operator token. Use the content of ops.token in the data folder of the system (for the program, set ' +
        'CQRS_DATA to that folder), or the value that CQRS_OPS_TOKEN has there. If systems share this engine, set CQRS_GUEST for those ' +
        'that are guests, as where they run, and for no other.'
      : 'This needs the operator token: over HTTP, send "Authorization: Bearer <content of ops.token in the data folder>"; ' +
        'for the program, set CQRS_DATA to the data folder of the system, or CQRS_OPS_TOKEN to the token.'
    throw new CqrsError('CQRS_UNAUTHORIZED', message)
  }
}

/**
 * Opens the access to the operations of a data folder. Tokens that are not set in the environment are read from the
 * folder. They are created there at the first start, by whichever process is first.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if a token cannot be read or made
 */
export function openOpsAccess(config: Config, log: Logger): OpsAccess {
  const { data, ops, secrets } = config
  const paths = dataPaths(data)
  return new OpsAccess({
    token: secrets.opsToken ?? tokenOf(paths.opsToken, log),
    readToken: secrets.opsReadToken ?? tokenOf(paths.opsReadToken, log),
    workerSecret: workerSecret(config),
    failuresPerMinute: ops.failuresPerMinute,
    log,
    now: () => performance.now(),
  })
}

/** The metadata with which a worker calls the guarded functions of another worker on the same data folder. */
export function ownCredentials({ data, secrets }: Config, log: Logger): { token: string } {
  return { token: secrets.opsToken ?? tokenOf(dataPaths(data).opsToken, log) }
}

/**
 * The same functions, except that each first checks the token in the metadata of its call, and puts the code of an
 * error into its message (see {@link toRemote}).
 */
export function guarded(
  functions: readonly OfferedFunction[],
  access: OpsAccess,
  scope: Scope = 'change',
): OfferedFunction[] {
  return functions.map((offered) => ({
    ...offered,
    async handle(payload, metadata) {
      try {
        access.check(tokenIn(metadata), scope)
        return await offered.handle(payload, metadata)
      } catch (error) {
        throw toRemote(error)
      }
    },
  }))
}

/** The token in the metadata of a call. */
export function tokenIn(metadata: unknown): string | undefined {
  return shown.safeParse(metadata).data?.token
}

function tokenOf(path: string, log: Logger): string {
  const { secret, wasExposed } = readOrCreateSecretFile(path)
  if (wasExposed) {
    log.warn(
      { file: path },
      'other users of this machine could read this token; this is corrected. To get a new one, remove the file and start again',
    )
  }
  return secret
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
