import { dataPaths } from './paths.ts'
import { readOrCreateSecretFile } from './secret-file.ts'

/**
 * The id of the system on a data folder: 43 random characters, created at the first start. The engine shows it with each
 * function of the system, so that two systems on one engine can be told apart.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if it cannot be read or created
 */
export function systemId(data: string): string {
  return readOrCreateSecretFile(dataPaths(data).systemId).secret
}
