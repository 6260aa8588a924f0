import { CqrsError } from '../kernel/errors.ts'
import { SECRET } from './secret-file.ts'

/**
 * Secrets from the environment. They are not allowed in the configuration file; a secret that is not given here is
 * generated in the data folder.
 */
export interface Secrets {
  /** CQRS_OPS_TOKEN: the token with which an operator may read and change. */
  readonly opsToken: string | undefined
  /** CQRS_OPS_READ_TOKEN: the token with which an operator, or a monitor, may only read. */
  readonly opsReadToken: string | undefined
  /** CQRS_WORKER_SECRET: the secret that a worker presents to the embedded engine. */
  readonly workerSecret: string | undefined
}

/** The variables of {@link Secrets}. */
export const SECRET_VARIABLES = ['CQRS_OPS_TOKEN', 'CQRS_OPS_READ_TOKEN', 'CQRS_WORKER_SECRET'] as const

/**
 * @throws CqrsError CQRS_CONFIG_INVALID if one is not 32 to 512 visible ASCII characters; the message does not show it
 */
export function readSecrets(env: Readonly<NodeJS.ProcessEnv>): Secrets {
  const [opsToken, opsReadToken, workerSecret] = SECRET_VARIABLES.map((name) => {
    const given = env[name]
    if (!given) return undefined
    if (SECRET.test(given)) return given
    throw new CqrsError(
      'CQRS_CONFIG_INVALID',
      `The environment variable ${name} is not a valid secret: set it to 32 to 512 visible ASCII characters, e.g. from "openssl rand -base64 32".`,
    )
  })
  return { opsToken, opsReadToken, workerSecret }
}
