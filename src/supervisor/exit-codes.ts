import { type ErrorCode, isCqrsError } from '../kernel/errors.ts'

/** The exit codes of the program `cqrs`. */
export const EXIT = {
  ok: { code: 0, meaning: 'done' },
  failed: { code: 1, meaning: 'failed; the message on standard error says why' },
  usage: { code: 2, meaning: 'the command line, configuration, app or version of Node is wrong' },
  unreachable: {
    code: 3,
    meaning: 'no engine answers, the link to it broke, or it lacks the functions: is `cqrs up` running?',
  },
  locked: { code: 4, meaning: 'another process owns the data folder' },
  portTaken: { code: 5, meaning: 'another program listens on a port that is needed' },
  store: { code: 6, meaning: 'a store cannot be used: newer, foreign, damaged or an old copy' },
  interrupted: { code: 130, meaning: 'Ctrl-C ended the watching, not what was watched' },
} as const

const BY_ERROR: Partial<Record<ErrorCode, number>> = {
  CQRS_CONFIG_INVALID: EXIT.usage.code,
  CQRS_APP_INVALID: EXIT.usage.code,
  CQRS_VIEW_NEWER: EXIT.usage.code,
  CQRS_ENGINE_TAKEN: EXIT.usage.code,
  CQRS_NODE_TOO_OLD: EXIT.usage.code,
  CQRS_SQLITE_TOO_OLD: EXIT.usage.code,
  CQRS_ENGINE_UNREACHABLE: EXIT.unreachable.code,
  CQRS_STORE_LOCKED: EXIT.locked.code,
  CQRS_PORT_TAKEN: EXIT.portTaken.code,
  CQRS_STORE_NEWER: EXIT.store.code,
  CQRS_STORE_FOREIGN: EXIT.store.code,
  CQRS_STORE_CORRUPT: EXIT.store.code,
  CQRS_LOG_TOO_SHORT: EXIT.store.code,
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return (isCqrsError(error) && BY_ERROR[error.code]) || EXIT.failed.code
}

/** Whether a process that ended with this code will end the same way again until a person changes something. */
export function isPermanent(code: number | null): boolean {
  return code === EXIT.usage.code || code === EXIT.portTaken.code || code === EXIT.store.code
}
