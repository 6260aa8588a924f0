import { CqrsError, ERRORS, type ErrorCode, isCqrsError } from '../kernel/errors.ts'

/**
 * An error of ours as it crosses the engine, which hands on the message of an error and nothing else: the code
 * stands in front of the message.
 */
export function toRemote(error: unknown): unknown {
  if (!isCqrsError(error)) return error
  return new CqrsError(error.code, `${error.code}: ${error.message}`, {
    cause: error,
    details: error.details,
  })
}

/** The error of ours that another worker threw through {@link toRemote}; any other error as it is. */
export function fromRemote(error: unknown): unknown {
  const { message } = error as { message?: unknown }
  const [, code, text] = /^(?:[a-z_]+: )?(CQRS_[A-Z_]+): ([\s\S]*)$/.exec(String(message)) ?? []
  if (code === undefined || text === undefined || !Object.hasOwn(ERRORS, code)) return error
  return new CqrsError(code as ErrorCode, text, { cause: error })
}
