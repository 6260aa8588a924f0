import type { Config } from '../../config/config.ts'
import { dataPaths } from '../../config/paths.ts'
import { readOrCreateSecretFile } from '../../config/secret-file.ts'

const LOOPBACK = ['127.0.0.1', 'localhost', '::1', '[::1]']

/**
 * The secret that workers send to the embedded engine: the one from the environment or, if other machines can reach the
 * engine, the one in the data folder, which is created at the first start. Undefined if no secret is required.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if it cannot be read or made
 */
export function workerSecret({ data, engine, secrets }: Config): string | undefined {
  if (secrets.workerSecret !== undefined) return secrets.workerSecret
  if (LOOPBACK.includes(engine.host)) return undefined
  return readOrCreateSecretFile(dataPaths(data).workerSecret).secret
}
