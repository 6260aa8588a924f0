import { roleLock } from '../config/paths.ts'
import { type OwnerLock, own } from '../sqlite/owner-lock.ts'
import type { Role, RoleName, StartRole } from './role.ts'

/**
 * Lets any number of processes run the same role on one data folder: one is at work, the others stand by and take over
 * when it ends, however it ends.
 *
 * An engine gives each function one owner. If two processes register the same function, it depends on the version of
 * the engine which of them owns it. Here an operating-system lock decides before anything is registered, so that the
 * two do not fight, and no store is written by both.
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
