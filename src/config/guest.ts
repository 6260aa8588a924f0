import type { HttpRoute } from '../kernel/http-route.ts'
import type { Config } from './config.ts'

/** The value of the setting `guest` of a system whose engine is its own. */
export const NO_GUEST = 'none'

/** The id that a function for operators has on the engine. That of a guest begins with its name. */
export function idOnEngine({ guest }: Pick<Config, 'guest'>, id: string): string {
  return guest === NO_GUEST ? id : `${guest}::${id}`
}

/** The route that a function for operators has on the engine. That of a guest begins with its name. */
export function routeOnEngine({ guest }: Pick<Config, 'guest'>, route: HttpRoute): HttpRoute {
  return guest === NO_GUEST ? route : { ...route, path: `/${guest}${route.path}` }
}
