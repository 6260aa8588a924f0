import { CqrsError } from '../kernel/errors.ts'
import { SECRET } from './secret-file.ts'

/**
 * Secrets that the environment gives. They have no place in the configuration file; what is not given here
 * is generated into the data folder.
 */
export interface Secrets {
  /** CQRS_OPS_TOKEN: what an operator shows to look and to change. */
  readonly opsToken: string | undefined
  /** CQRS_OPS_READ_TOKEN: what an operator, or a monitor, shows to look. */
  readonly opsReadToken: string | undefined
  /** CQRS_WORKER_SECRET: what a worker shows to the embedded engine. */
  readonly workerSecret: string | undefined
}

/** The variables of {@link Secrets}. */
export const SECRET_VARIABLES = ['CQRS_OPS_TOKEN', 'CQRS_OPS_READ_TOKEN', 'CQRS_WORKER_SECRET'] as const

/** @throws CqrsError CQRS_CONFIG_INVALID for one that is too short; its text is not shown */
export function readSecrets(env: Readonly<NodeJS.ProcessEnv>): Secrets {
  const [opsToken, opsReadToken, workerSecret] = SECRET_VARIABLES.map((name) => {
    const given = env[name]
    if (!given) return undefined
    if (SECRET.test(given)) return given
    throw new CqrsError(
      'CQRS_CONFIG_INVALID',
      `The environment variable ${name} is no secret: give 32 to 512 visible ASCII characters, e.g. from "openssl rand -base64 32".`,
    )
  })
  return { opsToken, opsReadToken, workerSecret }
}
