/** The HTTP door of a command or query. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Begins with `/`; parameters as `:name`, which become fields of the input. */
  readonly path: string
  /** Status of a success. Default 200. */
  readonly status?: number
}
