import { setTimeout as delay } from 'node:timers/promises'
import { cpuSince } from '../lab/cpu.ts'
import { type HttpAnswer, HttpClient } from '../lab/http-client.ts'
import { Latencies, type LatencySummary, wallMs } from '../lab/latencies.ts'
import { closedLoop, openLoop, type Span } from '../lab/pace.ts'
import { serveTask } from '../lab/task.ts'

export interface HttpLoadInput {
  readonly http: string
  /** Commands on items of the inventory, or the same requests to a function that only answers. */
  readonly to: 'commands' | 'echo'
  /** So many requests under way all the time, or so many begun in each second. */
  readonly pace: { readonly closed: number } | { readonly open: number }
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly items: number
  /** Whether each command carries an idempotency key, as careful clients send it. */
  readonly keys: boolean
  /** Of so many answers one is read back at once: `GET …?after=<position>`. 0 reads none. */
  readonly readEvery: number
  /** Give each answer's time and position back. */
  readonly record: boolean
  /** Tells apart the keys and items of several loads on one system. */
  readonly name: string
}

export interface HttpLoadOutput {
  /** Answered with success, per second. */
  readonly perSecond: number
  /** From the time at which the request was due (open) or sent (closed). */
  readonly latency: LatencySummary
  /** From an answer to the answer of a query that had to see it. */
  readonly visible: LatencySummary
  readonly statuses: Readonly<Record<string, number>>
  /** CPU time of this process for one request, in microseconds. */
  readonly cpu: number
  /** Answers 503 that did not say when to try again. */
  readonly withoutRetryAfter: number
  /** Time of the answer (wall clock, ms) and position. */
  readonly answers: readonly (readonly [number, number])[]
}

serveTask(async (input: HttpLoadInput, { stopping, ready }): Promise<HttpLoadOutput> => {
  const load = new HttpLoad(input)
  if (input.to === 'commands') await load.addItems()
  if (input.warmUpSeconds > 0) await load.run({ seconds: input.warmUpSeconds, signal: stopping })
  load.forget()
  const cpu = cpuSince()
  ready()
  const result = await load.run({ seconds: input.seconds, signal: stopping })
  return load.summary(result, cpu().process)
})

class HttpLoad {
  readonly #input: HttpLoadInput
  readonly #client: HttpClient
  #latencies = new Latencies()
  #visible = new Latencies()
  #statuses: Record<string, number> = {}
  #withoutRetryAfter = 0
  #answers: [number, number][] = []
  #sent = 0
  #succeeded = 0
  readonly #reads = new Set<Promise<void>>()

  constructor(input: HttpLoadInput) {
    this.#input = input
    this.#client = new HttpClient(input.http)
  }

  /** Each item gets stock that lasts. @throws Error if one is refused */
  async addItems(): Promise<void> {
    const { items } = this.#input
    let next = 0
    const add = async () => {
      while (next < items) {
        const sku = this.#sku(next++)
        const body = JSON.stringify({
          sku,
          name: `Item ${sku}`,
          category: `c${next % 20}`,
          priceCents: 250,
          quantity: 1_000_000,
        })
        await this.#add(body)
      }
    }
    await Promise.all(Array.from({ length: 16 }, add))
  }

  async #add(body: string): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      const answer = await this.#client.request('POST', '/inventory', { body })
      if (answer.status === 201) return
      if (answer.status !== 503) throw new Error(`Adding an item: ${answer.status} ${answer.body}`)
      await delay(50)
    }
    throw new Error('Adding an item: 503 a hundred times.')
  }

  async run(span: Span): Promise<{ seconds: number }> {
    const { pace } = this.#input
    if ('open' in pace) return openLoop(pace.open, span, (due) => this.#command(due))
    return closedLoop(pace.closed, span, () => this.#command(performance.now()))
  }

  /** What came before was to warm up. */
  forget(): void {
    this.#latencies = new Latencies()
    this.#visible = new Latencies()
    this.#statuses = {}
    this.#withoutRetryAfter = 0
    this.#answers = []
    this.#succeeded = 0
  }

  async summary({ seconds }: { seconds: number }, cpu: number): Promise<HttpLoadOutput> {
    await Promise.all(this.#reads)
    this.#client.close()
    return {
      perSecond: this.#succeeded / seconds,
      latency: this.#latencies.summary(),
      visible: this.#visible.summary(),
      statuses: this.#statuses,
      cpu: cpu / Math.max(1, this.#succeeded),
      withoutRetryAfter: this.#withoutRetryAfter,
      answers: this.#answers,
    }
  }

  async #command(due: number): Promise<void> {
    const { items, keys, name, to, record, readEvery } = this.#input
    const n = this.#sent++
    const sku = this.#sku((n * 7_919) % items)
    const verb = n % 2 === 0 ? 'sell' : 'restock'
    const path = to === 'echo' ? `/bench/${sku}/${verb}` : `/inventory/${sku}/${verb}`
    const headers = keys ? `Idempotency-Key: ${name}-${n}\r\n` : ''
    const answer = await this.#request('POST', path, { body: '{"quantity":1}', headers })
    this.#latencies.add(performance.now() - due)
    this.#count(answer)
    if (answer?.status !== 200) return
    this.#succeeded += 1
    if (to === 'echo') return
    const { position } = JSON.parse(answer.body) as { position: number }
    if (record) this.#answers.push([wallMs(), position])
    if (readEvery > 0 && n % readEvery === 0) {
      const read = this.#read(sku, position).finally(() => this.#reads.delete(read))
      this.#reads.add(read)
    }
  }

  async #read(sku: string, position: number): Promise<void> {
    const began = performance.now()
    const answer = await this.#request('GET', `/inventory/${sku}?after=${position}`, {})
    if (answer?.status === 200) this.#visible.add(performance.now() - began)
    else this.#count(answer)
  }

  async #request(...request: Parameters<HttpClient['request']>): Promise<HttpAnswer | undefined> {
    return this.#client.request(...request).catch(() => undefined)
  }

  #count(answer: HttpAnswer | undefined): void {
    const status = String(answer?.status ?? 'broken')
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    if (answer?.status === 503 && !answer.retryAfter) this.#withoutRetryAfter += 1
  }

  #sku(index: number): string {
    return `${this.#input.name}-${index}`
  }
}
