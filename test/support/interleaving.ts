import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import type { EventLog } from '../../src/log/contract.ts'
import { EMPTY_DIGEST, extendDigest } from '../../src/projection/digest.ts'
import { GatedProjector } from './gated-projector.ts'
import { type Action, isAppend, toAppend } from './interleaving-actions.ts'
import { SliceOfLog } from './slice-of-log.ts'
import { effectOf, type Touched, touched } from './touched.ts'

/** A movement of the log. */
interface Movement {
  readonly position: number
  readonly id: string
  readonly account: string
  readonly to: string | undefined
  readonly amount: number
}

interface Stored {
  readonly checkpoint: { position: number; processed: number; digest: string }
  readonly documents: ReadonlyMap<string, Touched>
  readonly parked: readonly { position: number; sequence: string; status: string }[]
  /** Positions of events, and keys of effects, that were given up. */
  readonly discarded: readonly { position: number; idempotencyKey: string | undefined }[]
  readonly effects: readonly { idempotency_key: string; status: string }[]
}

/** Two processes on one view, what they are told to do, and a model of what must come of it. */
export class Interleaving {
  readonly #log: EventLog
  readonly #slice: SliceOfLog
  readonly #viewPath: string
  readonly #reader: DatabaseSync
  readonly #processes: GatedProjector[] = []
  /** Keeps the streams of different runs apart in the one log. */
  readonly #run: string
  readonly #ill = new Set<string>()
  /** What was asked to be given up. */
  readonly #doomed = new Set<number>()
  readonly #movements: Movement[] = []
  readonly #taken: string[] = []
  #effectsFail = false
  #now = 1_700_000_000_000

  private constructor(log: EventLog, slice: SliceOfLog, folder: string) {
    this.#log = log
    this.#slice = slice
    this.#run = folder
    this.#viewPath = join(folder, 'touched.1.db')
    this.#processes.push(this.#make(), this.#make())
    this.#reader = new DatabaseSync(this.#viewPath, { readOnly: true })
  }

  /**
   * Begins with an empty view in `folder`. What `actions` append is stored in `log` at once and shown to the
   * processes one by one.
   */
  static async start(log: EventLog, folder: string, actions: readonly Action[]): Promise<Interleaving> {
    const versions = new Map<string, number>()
    const requests = actions.filter(isAppend).map((action) => {
      const stream = action.do === 'note' ? 'notes' : action.account
      const version = versions.get(stream) ?? 0
      versions.set(stream, version + 1)
      return toAppend(folder, action, version)
    })
    return new Interleaving(log, await SliceOfLog.of(log, requests), folder)
  }

  async take(action: Action): Promise<void> {
    // Long enough for what failed to be due again.
    this.#now += 20
    switch (action.do) {
      case 'append':
      case 'note':
        return this.#append()
      case 'conflict':
        return this.#conflict(action.account)
      case 'poison':
        this.#ill.add(action.account)
        return
      case 'cure':
        this.#ill.clear()
        return
      case 'refuse effects':
      case 'take effects':
        this.#effectsFail = action.do === 'refuse effects'
        return
      case 'go on':
        return this.#goOn(action)
      case 'finish':
        return this.#at(action.process).finish()
      default:
        return this.#begin(action)
    }
  }

  /** What must be true of the stored view whenever one looks. */
  async expectTruth(): Promise<void> {
    const stored = this.#read()
    const { checkpoint, parked, discarded } = stored
    const events = discarded.filter(({ idempotencyKey }) => idempotencyKey === undefined)
    const given = new Set(events.map(({ position }) => position))
    expect(events, 'nothing is given up twice').toHaveLength(given.size)
    const processed = this.#movements.filter(({ position }) => position <= checkpoint.position)
    expect(checkpoint.processed, 'events that were processed').toBe(processed.length)
    expect(checkpoint.digest, 'the digest').toBe(extendDigest(EMPTY_DIGEST, processed as never))

    const absent = new Set([...parked.map(({ position }) => position), ...given])
    const applied = processed.filter(({ position }) => !absent.has(position))
    this.#expectDocuments(stored, applied)
    this.#expectParkedInOrder(stored, processed, given)
    for (const position of given)
      expect(this.#doomed.has(position), `${position} was to be given up`).toBe(true)

    const causes = applied.filter(({ amount, to }) => amount < 0 && to === undefined)
    const caused = new Set(causes.map(({ position }) => effectOf(position)))
    for (const key of this.#taken) expect(caused.has(key), `${key} was taken, and has a cause`).toBe(true)
    const here = new Set([
      ...this.#taken,
      ...stored.effects.map(({ idempotency_key }) => idempotency_key),
      ...discarded.map(({ idempotencyKey }) => idempotencyKey),
    ])
    expect(
      [...caused].filter((key) => !here.has(key)),
      'effects that are lost',
    ).toEqual([])
  }

  /** All are well: processes go on to their end, and a new one does what is left. */
  async heal(): Promise<void> {
    for (const process of this.#processes) await process.finish()
    this.#ill.clear()
    this.#effectsFail = false
    this.#now += 1_000
    const last = this.#make()
    this.#processes.push(last)
    const head = await this.#slice.head()
    await last.begin(async ({ runner, view }) => {
      await runner.advanceTo(head)
      await runner.inTurn(async (projector) => {
        for (const { event } of await view.letters({ after: 0, limit: 1_000 })) {
          await projector.redrive(event.position)
          await projector.retry(event.position)
        }
      })
      await view.redriveEffects()
      await last.flush()
    })
    await last.finish()
  }

  /** Nothing is left to be done. */
  async expectHealed(): Promise<void> {
    await this.expectTruth()
    const { checkpoint, parked, effects } = this.#read()
    expect(checkpoint.position).toBe(await this.#slice.head())
    expect(parked).toEqual([])
    expect(effects).toEqual([])
  }

  async end(): Promise<void> {
    this.#reader.close()
    for (const process of this.#processes) await process.end()
  }

  async #append(): Promise<void> {
    const { position, id, type, data } = await this.#slice.showNext()
    const { account, to, amount } = data as Movement
    if (type === 'moved') this.#movements.push({ position, id, account, to, amount })
  }

  /** An append that rests on an old version stores nothing. */
  async #conflict(account: string): Promise<void> {
    const before = await this.#log.head()
    const late = toAppend(this.#run, { do: 'append', account, to: undefined, amount: 1 }, 0)
    const taken = await this.#log.history(late.stream, { limit: 1 })
    if (taken.length === 0) return
    expect(await this.#log.append(late)).toMatchObject({ kind: 'version-conflict' })
    expect(await this.#log.head()).toBe(before)
  }

  async #goOn({ process, call, passage }: Extract<Action, { do: 'go on' }>): Promise<void> {
    const { gate } = this.#at(process)
    if (gate.held === 0) return
    await gate.release(call, passage)
    if (!gate.ended) return
    await this.#at(process).end()
    this.#processes[process] = this.#make()
  }

  /** Begins what somebody asks a process for, if it is not busy already: its callers take turns. */
  async #begin(
    action: Extract<Action, { process: number }> & { do: Exclude<Action['do'], 'go on' | 'finish'> },
  ): Promise<void> {
    const process = this.#at(action.process)
    if (process.busy) return
    const letters = this.#read().parked.filter(({ status }) => status !== 'waiting')
    await process.begin(async ({ runner, view }) => {
      switch (action.do) {
        case 'deliver': {
          const head = await this.#slice.head()
          return head > 0 && runner.advanceTo(1 + (action.message % head))
        }
        case 'retry':
          return runner.inTurn((projector) => projector.retryDue())
        case 'redrive':
        case 'discard': {
          const letter = letters[action.letter % Math.max(1, letters.length)]
          if (!letter) return undefined
          const { position } = letter
          if (action.do === 'discard') this.#doomed.add(position)
          return runner.inTurn(async (projector) => {
            if (action.do === 'discard') return projector.discard(position, 'ada', 'does not matter')
            return (await projector.redrive(position)) && projector.retry(position)
          })
        }
        case 'redrive effects':
          return view.redriveEffects()
        case 'discard effect': {
          const [dead] = await view.deadEffects(1)
          const why = { by: 'ada', reason: 'does not matter', at: 'now' }
          return dead && view.discardEffect(dead.idempotencyKey, why)
        }
        case 'flush':
          return process.flush()
      }
    })
  }

  #at(process: number): GatedProjector {
    return this.#processes[process] as GatedProjector
  }

  #make(): GatedProjector {
    return new GatedProjector({
      projection: touched((account) => this.#ill.has(account)),
      log: this.#slice,
      viewPath: this.#viewPath,
      take: (key) => {
        if (this.#effectsFail) throw new Error('no effects today')
        this.#taken.push(key)
      },
      now: () => this.#now,
      batchSize: 3,
    })
  }

  #expectDocuments({ documents }: Stored, applied: readonly Movement[]): void {
    for (const name of ['ada', 'bob', 'cy']) {
      const found = documents.get(name)?.applied ?? []
      const wanted = applied.filter(({ account, to }) => account === name || to === name)
      const positions = wanted.map(({ position }) => position)
      expect(
        found.toSorted((a, b) => a - b),
        `what has touched ${name}`,
      ).toEqual(positions)
      // Several sequences share a document: each keeps its own order there.
      for (const [sequence, own] of Map.groupBy(wanted, ({ account }) => account)) {
        const order = own.map(({ position }) => position)
        expect(
          found.filter((position) => order.includes(position)),
          `the order of ${sequence} in ${name}`,
        ).toEqual(order)
      }
    }
  }

  /** Behind the first parked event of a sequence everything of it is parked or given up. */
  #expectParkedInOrder({ parked }: Stored, processed: readonly Movement[], given: ReadonlySet<number>): void {
    for (const [sequence, own] of Map.groupBy(parked, (event) => event.sequence)) {
      const first = Math.min(...own.map(({ position }) => position))
      const behind = processed
        .filter(({ account, position }) => `${this.#run}/${account}` === sequence && position >= first)
        .map(({ position }) => position)
        .filter((position) => !given.has(position))
      expect(
        own.map(({ position }) => position),
        `what is parked of ${sequence}`,
      ).toEqual(behind)
      const [head, ...others] = own
      expect(head?.status, 'the head is tried again, or is dead').not.toBe('waiting')
      expect(
        others.every(({ status }) => status === 'waiting'),
        'the others wait',
      ).toBe(true)
    }
  }

  #read(): Stored {
    const all = (sql: string) => this.#reader.prepare(sql).all() as never
    this.#reader.exec('BEGIN')
    try {
      const [checkpoint] = all('SELECT position, processed, digest FROM checkpoint') as [Stored['checkpoint']]
      const documents = all('SELECT key, document FROM documents') as { key: string; document: string }[]
      const discarded = all('SELECT position, event FROM discarded') as { position: number; event: string }[]
      return {
        checkpoint,
        documents: new Map(documents.map(({ key, document }) => [key, JSON.parse(document) as Touched])),
        parked: all('SELECT position, sequence, status FROM parked ORDER BY position'),
        discarded: discarded.map(({ position, event }) => ({
          position,
          idempotencyKey: (JSON.parse(event) as { idempotencyKey?: string }).idempotencyKey,
        })),
        effects: all('SELECT idempotency_key, status FROM effects'),
      }
    } finally {
      this.#reader.exec('COMMIT')
    }
  }
}
