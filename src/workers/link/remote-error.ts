import { CqrsError, ERRORS, type ErrorCode, isCqrsError } from '../../kernel/errors.ts'

/**
 * A CqrsError in the form in which it crosses the engine. The engine passes on only the message of an error, so the
 * code is put in front of the message. Any other error is returned as it is.
 */
export function toRemote(error: unknown): unknown {
  if (!isCqrsError(error)) return error
  return new CqrsError(error.code, `${error.code}: ${error.message}`, {
    cause: error,
    details: error.details,
  })
}

/** The CqrsError that another worker threw through {@link toRemote}; any other error is returned as it is. */
export function fromRemote(error: unknown): unknown {
  const { message } = error as { message?: unknown }
  const [, code, text] = /^(?:[a-z_]+: )?(CQRS_[A-Z_]+): ([\s\S]*)$/.exec(String(message)) ?? []
  if (code === undefined || text === undefined || !Object.hasOwn(ERRORS, code)) return error
  return new CqrsError(code as ErrorCode, text, { cause: error })
}
