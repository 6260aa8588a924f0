import type { Config } from '../config/config.ts'
import { dataPaths } from '../config/paths.ts'
import { readOrCreateSecretFile } from '../config/secret-file.ts'

const LOOPBACK = ['127.0.0.1', 'localhost', '::1', '[::1]']

/**
 * What workers show to the embedded engine: the secret that the environment gives or, where the engine can be
 * reached from other machines, the one in the data folder, which is made at the first start. Undefined where
 * no secret is asked for.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if it cannot be read or made
 */
export function workerSecret({ data, engine, secrets }: Config): string | undefined {
  if (secrets.workerSecret !== undefined) return secrets.workerSecret
  if (LOOPBACK.includes(engine.host)) return undefined
  return readOrCreateSecretFile(dataPaths(data).workerSecret).secret
}
