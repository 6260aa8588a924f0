import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { viewPath } from '../../src/config/paths.ts'
import type { Generation, ProjectionControl } from '../../src/control/contract.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import type { ParkedEvent, ViewStore } from '../../src/projection/contract.ts'
import { EMPTY_DIGEST, extendDigest } from '../../src/projection/digest.ts'
import { parityVerdict } from '../../src/projection/parity.ts'
import { openSqliteView } from '../../src/projection/sqlite/view-store.ts'
import { balances } from './ledger-app.ts'
import type { MemoryLog } from './memory-log.ts'

export const NAME = 'balances'
export const ACCOUNTS = ['ada', 'bob', 'kim']

/** Code of an app: a version of the fold, and how it is split. */
export type Code = Pick<Generation, 'version' | 'partitions'>

interface Document {
  readonly version: number
  readonly positions: readonly number[]
}

/** A change of one generation. */
export interface Move {
  readonly from: Generation | undefined
  readonly to: Generation | undefined
  readonly after: ProjectionControl
  readonly by: 'operator' | 'worker'
  /** What runs on the projections workers. */
  readonly codes: readonly Code[]
}

/** A plain log, what operators gave up and what was sent; and what must come of it in every generation. */
export class GenerationsTruth {
  readonly failing = new Set<string>()
  /** What somebody began to give up, whether or not he had an answer. */
  readonly doomed = new Set<number>()
  /** Events that were given up, with the generations that had them applied by then, or may have. */
  readonly discards = new Map<number, ReadonlySet<number>>()
  /** Counts the ways back in time. */
  era = 0
  readonly #data: string
  readonly #log: MemoryLog
  /** Accounts whose events failed at some time. */
  readonly #failed = new Set<string>()
  readonly #sent = new Set<string>()
  readonly #forgotten = new Set<string>()

  constructor(data: string, log: MemoryLog) {
    this.#data = data
    this.#log = log
  }

  /** Balances, with the positions of the events that they are made of, and of which code. */
  fold({ version, partitions }: Code): ProjectionDefinition {
    const plain = balances({
      fails: (account) => {
        if (this.failing.has(account)) this.#failed.add(account)
        return this.failing.has(account)
      },
    })
    const handler = plain.handler('moved') as NonNullable<ReturnType<typeof plain.handler>>
    return {
      ...plain,
      version,
      partitions,
      handler: () => ({
        key: handler.key,
        apply: (document: unknown, event, emit) => ({
          ...(handler.apply(document as never, event, emit) as object),
          version,
          positions: [...((document as Partial<Document>)?.positions ?? []), event.position],
        }),
      }),
    } as ProjectionDefinition
  }

  /** An event during whose trial processes ended twice is held back although its handler never failed. */
  parked(events: readonly ParkedEvent[]): void {
    for (const { sequence, failures } of events) {
      if (failures.at(-1)?.message.startsWith('The process ended')) this.#failed.add(sequence)
    }
  }

  /** What was sent, and noted so, is sent again only after a way back in time. */
  assertMayBeSent(idempotencyKey: string): void {
    if (this.era === 0 && this.#forgotten.has(idempotencyKey))
      throw new Error(`${idempotencyKey} is sent again`)
  }

  sent(idempotencyKey: string): void {
    this.#sent.add(idempotencyKey)
  }

  forgotten(idempotencyKeys: readonly string[]): void {
    for (const key of idempotencyKeys) this.#forgotten.add(key)
  }

  /** A generation comes, goes or changes its state as machine.ts and operators want it. */
  async assertMove({ from, to, after, by, codes }: Move): Promise<void> {
    const one = (to ?? from) as Generation
    const fail = (why: string) => {
      throw new Error(`generation ${one.generation}: ${from?.state} → ${to?.state} by a ${by}: ${why}`)
    }
    if (!to) {
      if (from?.state !== 'cancelling' && from?.state !== 'pruning') fail('nobody gave it up')
      const left = this.filesOf(one).filter((path) => existsSync(path))
      if (left.length > 0) fail(`its files are left: ${left}`)
    } else if (to.state === 'active') {
      if (to.purpose !== 'serve' || by !== 'worker') fail('it was not built for that')
      const isSame = to.report && parityVerdict(to.report) === 'same'
      if (from?.state === 'ready' && to.requireParity && !isSame) fail('parity was required')
      if (to.forced) this.era += 1
      else await this.#assertNotBack(after, to)
    } else if (to.state === 'previous' && from?.state === 'returning') {
      if (by === 'worker') fail('nobody called the rollback off')
    } else if (to.state === 'cancelling') {
      if (by === 'worker' && codes.every((code) => fits(to, code))) fail('nobody cancelled it')
    } else if (to.state === 'failed') {
      if (!to.requireParity) fail(`${to.error}`)
    } else if (to.state === 'pruning' && by === 'worker') fail('nobody pruned it')
  }

  /** A query found what is there, at least as new as it says, and of one generation. */
  assertRead(position: number, documents: readonly unknown[]): void {
    const found = documents as readonly (Document | undefined)[]
    const versions = new Set(found.filter((one) => one !== undefined).map((one) => one.version))
    if (versions.size > 1) throw new Error(`a query found a mix of versions ${[...versions]}`)
    for (const [index, account] of ACCOUNTS.entries()) {
      if (this.#failed.has(account)) continue
      const own = this.#positionsOf(account)
      const positions = found[index]?.positions ?? []
      const least = own.filter((one) => one <= position).length
      if (positions.length < least || positions.some((one, at) => own[at] !== one))
        throw new Error(`a query at ${position} found ${positions} of ${account}, whose are ${own}`)
    }
  }

  /** Notes that an operator was told that an event is given up. */
  async givenUp(position: number, generations: readonly Generation[]): Promise<void> {
    const appliedIn = new Set<number>()
    for (const one of generations) {
      const documents = await this.#documents(one)
      const isApplied = [...documents.values()].some(({ positions }) => positions.includes(position))
      // What a build has folded in memory nobody sees.
      if (isApplied || one.state === 'building') appliedIn.add(one.generation)
    }
    this.discards.set(position, appliedIn)
  }

  /** What is true when nothing is left to be done, of code that serves in the end. */
  async assertSettled({ generations }: ProjectionControl, code: Code, wentBack: boolean): Promise<void> {
    for (const one of generations) {
      const isOpen = ['building', 'ready', 'returning', 'cancelling', 'pruning'].includes(one.state)
      // What other code began waits for that code.
      const waits =
        one.state === 'returning' ? !fits(one, code) : one.version > code.version && one.state === 'building'
      if (isOpen && !waits) throw new Error(`it does not end: ${JSON.stringify(one)}`)
    }
    const active = generations.find(({ state }) => state === 'active') as Generation
    // Somebody went back to other code, or required parity of this one.
    const isWished = wentBack || generations.some((one) => one.state === 'failed' && fits(one, code))
    if (!fits(active, code) && !isWished) throw new Error(`it is frozen for ever: ${JSON.stringify(active)}`)
    const isLive = fits(active, code)
    const kept = generations.filter((one) => /active|previous/.test(one.state) && isLive && fits(one, code))
    for (const one of kept) await this.#assertWhole(one, this.#log.events.length)
    for (const one of generations) if (one.state === 'side') await this.#assertWhole(one, one.until as number)
    const unsent = this.#log.events.filter(
      ({ position }) => !this.#sent.has(`${NAME}:${position}:1`) && !this.doomed.has(position),
    )
    if (isLive && unsent.length > 0) throw new Error(`never sent: ${unsent.map(({ position }) => position)}`)
    const views = join(this.#data, 'views')
    const there = readdirSync(views).filter((file) => file.endsWith('.db'))
    const known = generations.filter(({ state }) => state !== 'verified').flatMap((one) => this.filesOf(one))
    const strange = there.filter((file) => !known.includes(join(views, file)))
    if (strange.length > 0) throw new Error(`files that are left: ${strange}`)
  }

  filesOf({ generation, partitions: count }: Generation): string[] {
    return Array.from({ length: count }, (_, index) =>
      viewPath(this.#data, NAME, { generation, partition: { index, count } }),
    )
  }

  async #assertNotBack(after: ProjectionControl, incoming: Generation): Promise<void> {
    const outgoing = after.generations.find(({ generation }) => generation === after.outgoing)
    if (!outgoing) return
    const position = async (view: ViewStore) => (await view.checkpoint()).position
    const [was, is] = [await this.#ofParts(outgoing, position), await this.#ofParts(incoming, position)]
    const isSplitAlike = was.length === is.length
    const isBack = isSplitAlike
      ? was.some((one, part) => (is[part] ?? 0) < (one ?? 0))
      : Math.min(...is.map(Number)) < Math.min(...was.map(Number))
    if (isBack) throw new Error(`generation ${incoming.generation} serves from ${is} on, and it was ${was}`)
  }

  async #assertWhole(one: Generation, upTo: number): Promise<void> {
    const it = `generation ${one.generation} (${one.state})`
    const documents = await this.#documents(one)
    const undecided = await this.#ofParts(one, (view) => view.parkedAfter(0, 1_000))
    const parked = new Set(undecided.flatMap((part) => part ?? []))
    if (parked.size > 0 && one.state === 'active') throw new Error(`${it} has parked ${[...parked]} for ever`)
    for (const account of ACCOUNTS) {
      const found = documents.get(account)?.positions ?? []
      const wanted = this.#positionsOf(account).filter((at) => at <= upTo)
      const wrong = wanted.filter((at) => {
        const wasApplied = (this.discards.get(at)?.size ?? 0) > 0
        const mayLack = parked.has(at) || this.doomed.has(at)
        const mayHave = !this.discards.has(at) || wasApplied
        return found.includes(at) ? !mayHave : !mayLack
      })
      const isOrdered = found.every((at, index) => index === 0 || at > (found[index - 1] as number))
      if (wrong.length > 0 || !isOrdered || found.some((at) => !wanted.includes(at)))
        throw new Error(`${it} holds ${found} of ${account}, whose are ${wanted}; wrong: ${wrong}`)
    }
    const checkpoints = await this.#ofParts(one, (view) => view.checkpoint())
    for (const [index, checkpoint] of checkpoints.entries()) {
      const page = await this.#log.readFrom(0, { limit: upTo, partition: { index, count: one.partitions } })
      if (checkpoint?.position !== upTo || checkpoint.digest !== extendDigest(EMPTY_DIGEST, page.events))
        throw new Error(`${it} stands at ${checkpoint?.position} of ${upTo}`)
    }
  }

  #positionsOf(account: string): number[] {
    return this.#log.events.filter(({ stream }) => stream === account).map(({ position }) => position)
  }

  async #documents(one: Generation): Promise<Map<string, Document>> {
    const parts = await this.#ofParts(one, (view) => view.load(ACCOUNTS))
    return new Map(parts.flatMap((part) => [...(part ?? [])])) as Map<string, Document>
  }

  /** What each part of a generation says; undefined where there is no file. */
  async #ofParts<Result>(one: Generation, read: (view: ViewStore) => Promise<Result>) {
    const found: (Result | undefined)[] = []
    for (const path of this.filesOf(one)) {
      if (!existsSync(path)) {
        found.push(undefined)
        continue
      }
      const view = openSqliteView(path, this.fold(one), { version: one.version, indexes: false })
      found.push(await read(view).finally(() => view.close()))
    }
    return found
  }
}

export function fits(one: Code, { version, partitions }: Code): boolean {
  return one.version === version && one.partitions === partitions
}
