import { setTimeout as delay } from 'node:timers/promises'

/** An answer that is worth looking at: any but those that ask to try again. */
export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** Tries at one request before it is given up; with the waits below, about a minute. */
const MAX_ATTEMPTS = 60

/** Waits between the tries, in milliseconds: doubling from the first to the last. */
const BACKOFF = { first: 50, last: 1_000 }

/** How long one try may take, in milliseconds. */
const TIMEOUT_MS = 15_000

/**
 * Speaks HTTP with the system. A request that gets no answer, or one that says "not now", is sent again; a
 * command with the same Idempotency-Key, so that it is done once however often it is sent.
 */
export class Client {
  readonly #base: string
  readonly #stop: AbortSignal
  #retries = 0

  /** @param stop aborts what is under way */
  constructor(base: string, stop: AbortSignal) {
    this.#base = base
    this.#stop = stop
  }

  /** How many times a request had to be sent again. */
  get retries(): number {
    return this.#retries
  }

  get(path: string, query: Readonly<Record<string, string | number>> = {}): Promise<Answer> {
    const search = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) search.set(name, String(value))
    return this.#request(`${path}?${search}`, {})
  }

  post(path: string, body: unknown, idempotencyKey: string): Promise<Answer> {
    return this.#request(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': idempotencyKey },
      body: JSON.stringify(body),
    })
  }

  async #request(path: string, init: RequestInit): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#try(path, init)
      if (outcome.kind === 'answer') return outcome.answer
      if (attempt === MAX_ATTEMPTS) {
        const what = `${init.method ?? 'GET'} ${path}`
        throw new Error(`${what} was tried ${attempt} times; the last time: ${outcome.why}`)
      }
      this.#retries += 1
      const wait = Math.min(BACKOFF.last, BACKOFF.first * 2 ** (attempt - 1))
      await delay(wait * (0.5 + Math.random() / 2), undefined, { signal: this.#stop })
    }
  }

  async #try(path: string, init: RequestInit) {
    try {
      const signal = AbortSignal.any([this.#stop, AbortSignal.timeout(TIMEOUT_MS)])
      const response = await fetch(`${this.#base}${path}`, { ...init, signal })
      const body: unknown = await response.json()
      const answer: Answer = { status: response.status, body }
      if (!asksToTryAgain(response, body)) return { kind: 'answer', answer } as const
      return { kind: 'again', why: `${response.status} ${JSON.stringify(body)}` } as const
    } catch (error) {
      this.#stop.throwIfAborted()
      const { cause = error } = error as Error
      return { kind: 'again', why: String(cause) } as const
    }
  }
}

/** A real engine knows no route of a worker that is just being started again, and answers 404 in its own name. */
function asksToTryAgain({ status, headers }: Response, body: unknown): boolean {
  const isUnknownRoute = status === 404 && codeOf(body) === 'NOT_FOUND'
  return status >= 500 || isUnknownRoute || headers.has('Retry-After')
}

/** The code of the error in a body, if it has one. */
export function codeOf(body: unknown): string | undefined {
  return (body as { error?: { code?: string } } | null)?.error?.code
}
