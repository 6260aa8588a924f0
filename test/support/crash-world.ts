import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type IIIClient, TriggerAction } from 'iii-sdk'
import { expect } from 'vitest'
import type { Boundary } from '../../src/boundaries.ts'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteViewReader } from '../../src/projection/sqlite/view-reader.ts'
import { activeViewPath } from './active-view-path.ts'
import { BoundaryTrap, type Trap } from './boundary-trap.ts'
import { CqrsProcess, type Lifetime } from './cqrs-process.ts'
import { type Answered, acceptedAt, type InventoryCommand, settle } from './inventory-client.ts'
import type { SettledCommand } from './load.ts'
import app, { saleReceipts, TAKE_RECEIPT } from './receipts-app.ts'
import { sdkWorker } from './sdk-worker.ts'
import { newSite, type Site } from './system.ts'
import { until } from './until.ts'

/** The parts that are killed at boundaries. */
export type Victim = 'commands' | 'queue' | 'projections'

/** The inventory, and a reactor whose handler and whose receiver can be made to fail. */
const APP = new URL('./receipts-app.ts', import.meta.url).pathname

/** The settings of the system: short waits, and few attempts so that something is dead soon. */
const SETTINGS = {
  CQRS_APP: APP,
  CQRS_PROJECTIONS_SWEEP_INTERVAL_MS: '200',
  CQRS_PROJECTIONS_MAX_ATTEMPTS: '3',
  CQRS_PROJECTIONS_RETRY_BASE_MS: '50',
  CQRS_PROJECTIONS_RETRY_CAP_MS: '100',
}

/** How long a process may take to get where it is killed, in milliseconds. */
const TRAP_MS = 15_000

/** A message's function, played by the test. */
export const JOB = 'outside::job'

/**
 * One system of real processes that many tests share: each kills one of its parts exactly at a boundary and
 * starts it again. Everything that happened to it before is part of what a later test checks.
 */
export class CrashWorld {
  readonly site: Site
  /** A worker of the test itself: it takes the receipts and does the jobs. */
  readonly outside: IIIClient
  readonly settled: SettledCommand[] = []
  /** Idempotency keys of the receipts that were taken, in order. */
  readonly receipts: string[] = []
  /** Jobs that were done or tried, in order. */
  readonly jobs: string[] = []
  /** What is to fail for now: receipts, and jobs. */
  readonly failing = { receipts: false, jobs: false }
  /** What an operator gave up: sales by their positions, receipts by their keys. */
  readonly givenUp = { sales: new Set<number>(), receipts: new Set<string>() }
  readonly #folder: string
  readonly #ends: (() => Promise<void>)[]
  readonly #shown: (() => void)[]
  readonly #parts = new Map<Victim, { process: CqrsProcess; trap: BoundaryTrap }>()
  #commands = 0

  private constructor(
    site: Site,
    outside: IIIClient,
    { folder, ends, shown }: { folder: string; ends: (() => Promise<void>)[]; shown: (() => void)[] },
  ) {
    this.site = site
    this.outside = outside
    this.#folder = folder
    this.#ends = ends
    this.#shown = shown
    this.outside.registerFunction(TAKE_RECEIPT, async ({ idempotencyKey }: { idempotencyKey: string }) => {
      this.receipts.push(idempotencyKey)
      if (this.failing.receipts) throw new Error('no receipts today')
    })
    this.outside.registerFunction(JOB, async ({ job }: { job: string }) => {
      this.jobs.push(job)
      if (this.failing.jobs) throw new Error('no jobs today')
    })
  }

  /** Starts the engine, all workers, and the worker of the test. */
  static async start(): Promise<CrashWorld> {
    const folder = mkdtempSync(join(tmpdir(), 'cqrs-points-'))
    const ends: (() => Promise<void>)[] = []
    const shown: (() => void)[] = []
    const lifetime: Lifetime = { onFailed: (show) => shown.push(show), onFinished: (end) => ends.push(end) }
    const poison = join(folder, 'poison')
    mkdirSync(poison)
    const site = await newSite({ ...SETTINGS, TEST_POISON: poison }, folder)
    const engine = new CqrsProcess(['engine'], site.env, lifetime)
    await engine.ready
    const queries = new CqrsProcess(
      ['worker', 'queries', 'operator'],
      { ...site.env, III_URL: site.engine },
      lifetime,
    )
    const outside = await sdkWorker(site.engine, 'outside', (end) => ends.unshift(end))
    const world = new CrashWorld(site, outside, { folder, ends, shown })
    await Promise.all([world.#start('commands'), world.#start('queue'), world.#start('projections')])
    await queries.ready
    return world
  }

  /** Ends everything. */
  async end(): Promise<void> {
    for (const end of this.#ends) await end()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Shows the last lines of every process that is or was. */
  show(): void {
    for (const show of this.#shown) show()
  }

  /** Makes what a failed test left behind usable for the next one. */
  async recover(): Promise<void> {
    Object.assign(this.failing, { receipts: false, jobs: false })
    for (const [name, { process, trap }] of this.#parts) {
      trap.clear()
      if (process.ended) await this.#start(name)
    }
  }

  /**
   * Does something that makes a part reach a boundary, sees it killed exactly there, and starts it again.
   *
   * @param act begins what leads there; it may go on over the death, as a client does that tries again
   * @returns what `act` gave
   */
  async killAt<Result>(
    name: Victim,
    boundary: Boundary,
    act: () => Promise<Result>,
    trap: Partial<Pick<Trap, 'of' | 'hit'>> = {},
  ): Promise<Result> {
    const victim = this.#parts.get(name)
    if (!victim) throw new Error(`${name} was not started`)
    victim.trap.set(boundary, trap)
    const acting = act()
    acting.catch(() => {})
    await until(`${name} is killed at ${boundary}`, () => victim.process.ended, TRAP_MS)
    expect(await victim.process.exited).toEqual({ code: null, signal: 'SIGKILL' })
    expect(victim.trap.sprung, `${name} was at ${boundary} when it ended`).toBe(true)
    victim.trap.clear()
    await this.#start(name)
    return acting
  }

  /** Sends a command, with the same key until it is settled. */
  async command(path: string, body: InventoryCommand['body'] = {}): Promise<Answered> {
    this.#commands += 1
    const command = { path, body, idempotencyKey: `command-${this.#commands}` }
    const answer = await settle(this.site.http, command)
    this.settled.push({ command, answer })
    return answer
  }

  /** A new item, of which there is enough; every view has it when this returns. */
  async add(sku: string): Promise<void> {
    const item = { sku, name: 'Mug', priceCents: 100, quantity: 1_000 }
    const position = acceptedAt(await this.command('/inventory', item))
    for (const projection of app.projections.values()) {
      const view = openSqliteViewReader(activeViewPath(this.site.data, projection.name), projection)
      await until(`${projection.name} has ${sku}`, async () => (await view.position()) >= position)
      await view.close()
    }
  }

  sell(sku: string, quantity = 1): Promise<Answered> {
    return this.command(`/inventory/${sku}/sell`, { quantity })
  }

  /** Makes the handler of the receipts fail for an item, or no longer. */
  poison(sku: string, ill: boolean): void {
    const file = join(this.#folder, 'poison', sku)
    if (ill) writeFileSync(file, '')
    else rmSync(file)
  }

  /** Calls a function of the system, again and again while its worker is away. */
  call<Answer = unknown>(functionId: string, payload: object): Promise<Answer> {
    return until(
      `${functionId} answers`,
      async () => {
        try {
          return { answer: (await this.#trigger(functionId, payload)) as Answer }
        } catch (error) {
          const { code } = error as { code?: string }
          if (code === 'function_not_found' || code === 'invocation_stopped') return false
          return Promise.reject(error)
        }
      },
      TRAP_MS,
    ).then(({ answer }) => answer)
  }

  /** Calls a function once. */
  #trigger(function_id: string, payload: object): Promise<unknown> {
    const { opsToken } = dataPaths(this.site.data)
    const metadata = existsSync(opsToken) ? { token: readFileSync(opsToken, 'utf8').trim() } : {}
    return this.outside.trigger({ function_id, payload, metadata, timeoutMs: 5_000 })
  }

  /** An operator's call that is cut short by a death. */
  async lastCall(functionId: string, payload: object): Promise<void> {
    await expect(this.#trigger(functionId, payload)).rejects.toMatchObject({ code: 'invocation_stopped' })
  }

  /** Enqueues a job once. @returns the receipt; undefined if none came */
  async enqueue(queue: string, job: string): Promise<string | undefined> {
    const action = TriggerAction.Enqueue({ queue })
    return this.outside.trigger({ function_id: JOB, payload: { job }, action, timeoutMs: 3_000 }).then(
      (answer) => (answer as { messageReceiptId: string }).messageReceiptId,
      () => undefined,
    )
  }

  /** How often a job was done or tried. */
  timesDone(job: string): number {
    return this.jobs.filter((done) => done === job).length
  }

  /** How often a receipt was taken, by the position of its sale. */
  timesTaken(position: number): number {
    return this.receipts.filter((key) => key === receiptOf(position)).length
  }

  /** What the reactor's view has a record of as given up. */
  discarded(): object[] {
    const db = new DatabaseSync(activeViewPath(this.site.data, saleReceipts.name), { readOnly: true })
    const rows = db.prepare('SELECT position, discarded_by, reason FROM discarded').all()
    db.close()
    return rows.map((row) => ({ ...row }))
  }

  async #start(name: Victim): Promise<void> {
    const trap = this.#parts.get(name)?.trap ?? new BoundaryTrap(join(this.#folder, `${name}.trap`))
    const env = { ...this.site.env, III_URL: this.site.engine, ...trap.env }
    const process = new CqrsProcess(['worker', name], env, {
      onFailed: (show) => this.#shown.push(show),
      onFinished: (end) => this.#ends.unshift(end),
    })
    this.#parts.set(name, { process, trap })
    await process.ready
  }
}

/** The idempotency key of the receipt for a sale. */
export function receiptOf(position: number): string {
  return `${saleReceipts.name}:${position}:1`
}
