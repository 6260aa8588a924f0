/** The HTTP route of a command or query. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Starts with `/`. Parameters are written `:name` and become fields of the input. */
  readonly path: string
  /** Status of a success. Default 200. */
  readonly status?: number
}
