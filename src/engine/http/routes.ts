import findMyWay, { type HTTPMethod } from 'find-my-way'
import type { ErrorBody } from '../outcome.ts'
import { refusal, type Trigger, type TriggerProvider } from '../triggers.ts'

/** A path and method that run a function. */
export interface Route {
  readonly method: string
  /** The path as it was registered, `/inventory/:sku`; functions get it as `path`. */
  readonly path: string
  readonly segments: readonly string[]
  readonly trigger: Trigger
  /** The function that gets the request first, and decides whether the route's function runs. */
  readonly conditionFunctionId: string | undefined
  /** Run before the function; each of them may answer in its place. */
  readonly middlewareFunctionIds: readonly string[]
}

/** What the table knows about a request. */
export type RouteMatch =
  | { readonly kind: 'route'; readonly route: Route; readonly pathParams: Map<string, string> }
  | { readonly kind: 'bad_path' }
  | { readonly kind: 'wrong_method'; readonly allowed: readonly string[] }
  /** The route was there a moment ago. */
  | { readonly kind: 'away' }
  | { readonly kind: 'unknown' }

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const

/** Longer than any path that fits into the headers Node accepts. */
const MAX_PARAM_LENGTH = 65_536

type Router = ReturnType<typeof findMyWay>

/** The routes of this engine: the provider of trigger type `http`. */
export class RouteTable implements TriggerProvider {
  /**
   * Built on the next request that needs it: each removal requires a new one, and a worker that goes removes all its
   * routes at once.
   */
  #router: Router | undefined
  /** Method and path → the route that answers there; the last registration wins. */
  readonly #routes = new Map<string, Route>()
  /**
   * Method and path → live routes that a later registration has displaced, oldest first. When that one goes, the newest
   * of them serves again.
   */
  readonly #outdone = new Map<string, readonly Route[]>()
  readonly #away: AwayRoutes
  /** Method and pattern → key of the one route of this shape. */
  readonly #shapes = new Map<string, string>()

  /**
   * @param awayMs how long a route that went is remembered, in milliseconds
   * @param monotonic a clock that never jumps, in milliseconds
   */
  constructor(awayMs: number, monotonic: () => number) {
    this.#away = new AwayRoutes(awayMs, monotonic)
  }

  register(trigger: Trigger): ErrorBody | undefined {
    const route = readRoute(trigger)
    if ('code' in route) return route
    const key = keyOf(route)
    const shape = shapeOf(route)
    const conflict = this.#routes.get(this.#shapes.get(shape) ?? key)
    if (conflict !== undefined && keyOf(conflict) !== key) {
      return refusal(
        `The route ${route.method} ${route.path} conflicts with already-registered route ${conflict.path}: they differ only in the names of their parameters.`,
      )
    }
    if (conflict === undefined) this.#router = undefined
    else if (conflict.trigger.id !== trigger.id)
      this.#setOutdone(key, [...this.#outdoneBut(trigger, key), conflict])
    this.#routes.set(key, route)
    this.#shapes.set(shape, key)
    this.#away.isBack(shape)
    return undefined
  }

  replay(trigger: Trigger): ErrorBody | undefined {
    return this.register(trigger)
  }

  unregister(trigger: Trigger): void {
    const route = readRoute(trigger)
    if ('code' in route) return
    const key = keyOf(route)
    const rest = this.#outdoneBut(trigger, key)
    if (this.#routes.get(key)?.trigger !== trigger) {
      this.#setOutdone(key, rest)
      return
    }
    const shape = shapeOf(route)
    const next = rest.at(-1)
    if (next === undefined) {
      this.#routes.delete(key)
      this.#shapes.delete(shape)
      this.#router = undefined
    } else {
      this.#routes.set(key, next)
      this.#setOutdone(key, rest.slice(0, -1))
    }
    // Also if another route takes over: its function may have gone with the same worker, and be registered again in a
    // moment.
    this.#away.left(shape, route)
  }

  #outdoneBut({ id }: Trigger, key: string): readonly Route[] {
    return (this.#outdone.get(key) ?? []).filter((route) => route.trigger.id !== id)
  }

  #setOutdone(key: string, routes: readonly Route[]): void {
    if (routes.length > 0) this.#outdone.set(key, routes)
    else this.#outdone.delete(key)
  }

  /** Finds the route of a request. `path` is the raw path: parameters keep their percent-encoding. */
  match(method: string, path: string): RouteMatch {
    try {
      decodeURIComponent(path)
    } catch {
      return { kind: 'bad_path' }
    }
    const routed = this.#find(method, path)
    if (routed !== undefined) return routed
    if (this.#away.has(method, path)) return { kind: 'away' }
    const allowed = METHODS.filter((other) => other !== method && this.#find(other, path) !== undefined)
    // The real engine answers HEAD on a GET route with 404, and everything else with 405.
    if (allowed.length === 0 || method === 'HEAD') return { kind: 'unknown' }
    return { kind: 'wrong_method', allowed }
  }

  /** Whether a route that a request was matched with was removed a moment ago. */
  isAway(route: Route): boolean {
    return this.#away.hasShape(shapeOf(route))
  }

  #find(method: string, path: string): RouteMatch | undefined {
    this.#router ??= routerOf(this.#routes)
    return find(this.#router, this.#routes, method, path)
  }
}

/**
 * Routes that were removed together with their trigger or worker. Most come back in a moment, when the process has been
 * restarted.
 */
class AwayRoutes {
  readonly #forMs: number
  readonly #monotonic: () => number
  /**
   * Shape → route. The key is the shape, because a route that comes back may name its parameters differently, and a
   * router takes each shape only once.
   */
  readonly #routes = new Map<string, Route & { readonly until: number }>()
  #router: Router | undefined

  constructor(forMs: number, monotonic: () => number) {
    this.#forMs = forMs
    this.#monotonic = monotonic
  }

  left(shape: string, route: Route): void {
    if (this.#forMs === 0) return
    // Delete first: the map must stay in the order in which the routes left, which #forgetOld relies on.
    this.#routes.delete(shape)
    this.#routes.set(shape, { ...route, until: this.#monotonic() + this.#forMs })
    this.#router = undefined
  }

  isBack(shape: string): void {
    if (this.#routes.delete(shape)) this.#router = undefined
  }

  hasShape(shape: string): boolean {
    this.#forgetOld()
    return this.#routes.has(shape)
  }

  has(method: string, path: string): boolean {
    this.#forgetOld()
    if (this.#routes.size === 0) return false
    this.#router ??= routerOf(this.#routes)
    return find(this.#router, this.#routes, method, path) !== undefined
  }

  #forgetOld(): void {
    const now = this.#monotonic()
    for (const [shape, { until }] of this.#routes) {
      if (until > now) break
      this.isBack(shape)
    }
  }
}

function find(
  router: Router,
  routes: ReadonlyMap<string, Route>,
  method: string,
  path: string,
): RouteMatch | undefined {
  const found = router.find(method as HTTPMethod, path)
  const route = found === null ? undefined : routes.get(found.store as string)
  if (route === undefined) return undefined
  const values = path.split('/').slice(1)
  const pathParams = new Map<string, string>()
  for (const [index, segment] of route.segments.entries()) {
    if (!segment.startsWith(':')) continue
    const value = values[index] ?? ''
    if (value === '') return undefined
    pathParams.set(segment.slice(1), value)
  }
  return { kind: 'route', route, pathParams }
}

function routerOf(routes: ReadonlyMap<string, Route>): Router {
  const router = findMyWay({ caseSensitive: true, maxParamLength: MAX_PARAM_LENGTH })
  for (const [key, route] of routes) {
    const method = METHODS.find((name) => name === route.method)
    // As in the real engine, a binding to another method exists and never fires.
    if (method !== undefined) router.on(method, patternOf(route), noop, key)
  }
  return router
}

function readRoute(trigger: Trigger): Route | ErrorBody {
  const config = (trigger.config ?? {}) as Record<string, unknown>
  if (typeof config.api_path !== 'string') return refusal('A trigger of type http needs an api_path.')
  const path = config.api_path
  const segments = (path.startsWith('/') ? path.slice(1) : path).split('/')
  if (segments.some((segment) => segment.includes('*') && !segment.startsWith(':'))) {
    return refusal(
      `The route ${path} has a wildcard, which is not supported; use :name for one segment of the path.`,
    )
  }
  const { condition_function_id: condition, middleware_function_ids: middleware } = config
  // A guard that cannot be read must not be left out: the route would be open to everybody.
  if (condition != null && typeof condition !== 'string') {
    return refusal(`The condition_function_id of the route ${path} must be a string.`)
  }
  if (middleware != null && !isTexts(middleware)) {
    return refusal(`The middleware_function_ids of the route ${path} must be an array of strings.`)
  }
  return {
    method: (typeof config.http_method === 'string' ? config.http_method : 'GET').toUpperCase(),
    path,
    segments,
    trigger,
    conditionFunctionId: condition ?? undefined,
    middlewareFunctionIds: middleware ?? [],
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function keyOf(route: Route): string {
  return `${route.method}:${route.segments.join('/')}`
}

/** The same text for two routes that differ only in the names of their parameters. */
function shapeOf(route: Route): string {
  return `${route.method} ${patternOf(route)}`
}

/**
 * The route in the router's own syntax. Parameters are named by position, so that the router never parses the names of
 * an app.
 */
function patternOf(route: Pick<Route, 'segments'>): string {
  return `/${route.segments.map((segment, index) => (segment.startsWith(':') ? `:p${index}` : segment.replaceAll(':', '::'))).join('/')}`
}

function noop(): void {}
