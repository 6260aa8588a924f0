import { roleLock } from '../config/paths.ts'
import { type OwnerLock, own } from '../sqlite/owner-lock.ts'
import type { Role, RoleName, StartRole } from './role.ts'

/**
 * Lets any number of processes run the same role on one data folder: one is at work, the others stand by
 * and take over when it ends, however it ends.
 *
 * An engine gives each function one owner and has its own view, which changed between its versions, of who
 * that is when two register it. An operating-system lock decides it here before anything is registered,
 * so that there is no fight, and no store is written by two.
 */
export function withStandby(name: RoleName, start: StartRole): StartRole {
  return async (context) => {
    const { config, log, stopping } = context
    const standingBy = Promise.withResolvers<void>()
    let lock: OwnerLock | undefined
    const atWork = (async () => {
      lock = await own(roleLock(config.data, name), {
        signal: stopping,
        pollMs: config.standbyIntervalMs,
        onWaiting: (pid) => {
          log.info({ pid }, `another process is the ${name} worker of this data folder; standing by`)
          context.stands('standing by')
          standingBy.resolve()
        },
      })
      const role = await start(context)
      context.stands('at work')
      return role
    })()
    await Promise.race([atWork, standingBy.promise])
    atWork.catch((error) => {
      if (!stopping.aborted) context.fail(error)
    })
    return {
      async stop() {
        const role: Role | undefined = await atWork.catch(() => undefined)
        await role?.stop()
        lock?.release()
      },
    }
  }
}
