import { type Config, NO_APP } from '../../config/config.ts'
import { isFree, neededPorts, portTakenError } from '../../supervisor/ports.ts'
import type { SystemStatus } from '../contract.ts'
import { undecided } from '../undecided.ts'
import { type Check, fail, ok, warn } from './check.ts'

/**
 * Checks the ports of the embedded engine: free, or in use by the engine itself.
 *
 * @param running whether an engine answers
 */
export async function checkPorts(config: Config, running: boolean): Promise<Check[]> {
  if (!config.engine.embedded) return []
  return Promise.all(
    neededPorts(config).map(async (needed) => {
      const name = `port ${needed.port}`
      try {
        if (await isFree(needed)) return ok(name, `free for ${needed.what}`)
      } catch (error) {
        return fail(name, (error as Error).message, `Choose another address or ${needed.variable}.`)
      }
      return running
        ? ok(name, `${needed.what}, in use by the running system`)
        : fail(name, `needed for ${needed.what} and in use`, portTakenError(needed).message)
    }),
  )
}

/**
 * Checks the running system, or reports why it does not answer.
 *
 * @param others number of dead letters in queues that belong to no projection, or why they could not be counted
 */
export function checkSystem(config: Config, status: SystemStatus | Error, others: number | Error): Check[] {
  if (status instanceof Error) return [warn('system', 'does not answer', status.message)]
  const orphans = status.projections.filter(({ owned }) => !owned).map(({ name }) => name)
  const damaged = status.projections.filter((each) => each.damaged !== null)
  const letters = undecided(status) + (others instanceof Error ? 0 : others)
  const unseen =
    others instanceof Error ||
    status.projections.some(({ queue, parked }) => queue === null || parked === null)
  return [
    ok('system', `${status.app} at ${config.engine.url}, head at ${status.head}`),
    orphans.length === 0
      ? ok('projections', `${status.projections.length} with an owner`)
      : fail('projections', `no owner: ${orphans.join(', ')}`, 'Start "cqrs worker projections".'),
    ...damaged.map(({ name, projection, damaged: how }) =>
      fail(`view ${name}`, how ?? '', `"cqrs rebuild ${projection}" replaces it; the other views go on.`),
    ),
    status.projections.some(({ queue }) => queue === null)
      ? warn(
          'queue',
          'no queue worker answers',
          'Start "cqrs worker queue"; projections are slower without it.',
        )
      : others instanceof Error
        ? config.app === NO_APP
          ? fail('queue', 'could not be asked', others.message)
          : warn('queue', 'could not be asked for its dead letters', others.message)
        : ok('queue', 'answers'),
    deadLetters(letters, unseen),
  ]
}

/** @param unseen whether some could not be counted */
function deadLetters(letters: number, unseen: boolean): Check {
  if (unseen) {
    const found = letters === 0 ? 'not known' : `${letters}, and perhaps more`
    return warn(
      'dead letters',
      found,
      'Not everything could be asked; "cqrs dlq list" says what it leaves out.',
    )
  }
  if (letters === 0) return ok('dead letters', 'none')
  return warn('dead letters', String(letters), 'Look at them with "cqrs dlq list".')
}
