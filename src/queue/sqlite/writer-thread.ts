import { existsSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { type Boundary, reached } from '../../boundaries.ts'
import { CqrsError } from '../../kernel/errors.ts'
import { type CommitHandler, serveCommits } from '../../sqlite/commit-thread.ts'
import { forgetHighWater, HighWater, markPath, readHighWater } from '../../sqlite/high-water.ts'
import { openDatabase } from '../../sqlite/open.ts'
import type { EnqueueOutcome, NewMessage } from '../contract.ts'
import { MessageTable } from './message-table.ts'
import { type PackedMessages, packOutcome, unpackMessages } from './packed-messages.ts'
import { type QueueRow, QueueTable } from './queue-table.ts'
import { Receipts } from './receipts.ts'
import type { QueueOperation, QueueReply, QueueRequest, QueueThreadOptions } from './requests.ts'
import { queueSchema } from './schema.ts'

/**
 * The boundary that each request that changes messages has reached once it is stored. An enqueue reports its own for
 * each message.
 */
const CHANGES: Partial<Record<QueueOperation['do'], Boundary>> = {
  acknowledge: 'message-removed',
  fail: 'failure-stored',
  bury: 'dead-letter-moved',
  redrive: 'dead-letter-redriven',
  'redrive-message': 'dead-letter-redriven',
  discard: 'dead-letter-discarded',
}

/** The queue store's side of the writer thread: each request is carried out inside a shared transaction. */
class QueueWriter implements CommitHandler<QueueRequest, QueueReply> {
  readonly db: DatabaseSync
  readonly path: string
  readonly #queues: QueueTable
  readonly #messages: MessageTable
  readonly #receipts: Receipts
  readonly #mark: HighWater
  readonly #now: () => number
  #uncommitted = false
  /** The boundaries that the open transaction reaches, each with the name of its queue. */
  #doing: [Boundary, string][] = []

  constructor({ path, rememberedReceipts }: QueueThreadOptions, now: () => number = Date.now) {
    this.#now = now
    this.path = path
    // Whoever removes the whole file wants an empty queue; views do not need the messages that were in it.
    if (!existsSync(path)) forgetHighWater(path)
    this.db = openDatabase({ path, schema: queueSchema })
    this.#queues = new QueueTable(this.db)
    this.#messages = new MessageTable(this.db)
    this.#receipts = new Receipts(this.db, rememberedReceipts)
    assertComplete(path, this.#receipts.commits)
    this.#mark = new HighWater(path)
  }

  begin(): void {
    if (this.#uncommitted) {
      this.#queues.load()
      this.#messages.load()
      this.#receipts.load()
    }
    this.#uncommitted = true
    this.#doing = []
  }

  prepare(): void {
    this.#queues.prepare()
    this.#receipts.prepare()
    for (const [boundary, queue] of this.#doing) {
      if (boundary === 'message-stored') reached('message-written', queue)
    }
  }

  committed(): void {
    this.#uncommitted = false
    for (const [boundary, queue] of this.#doing) reached(boundary, queue)
    this.#mark.reached(this.#receipts.commits)
  }

  execute(request: QueueRequest): QueueReply {
    return isPacked(request) ? this.#enqueueAll(request) : this.#operate(request)
  }

  #operate(request: QueueOperation): QueueReply {
    const reply = this.#execute(request)
    const boundary = CHANGES[request.do]
    if (boundary && reply && 'queue' in request) this.#doing.push([boundary, request.queue])
    return reply
  }

  #execute(request: QueueOperation): QueueReply {
    switch (request.do) {
      case 'define':
        this.#queues.define(request.queue, request.definition)
        return undefined
      case 'queues':
        return this.#queues.all(request.only).map((queue) => ({
          ...queue,
          oldestAt: queue.depth > 0 ? this.#messages.oldestAt(queue.id, queue.tail) : undefined,
        }))
    }
    const queue = this.#queues.get(request.queue)
    return queue && this.#ofQueue(queue, request)
  }

  #ofQueue(queue: QueueRow, request: Exclude<QueueOperation, { do: 'define' | 'queues' }>): QueueReply {
    const { id, tail } = queue
    switch (request.do) {
      case 'acknowledge': {
        const removed = request.seqs.filter((seq) => this.#messages.remove(id, seq)).length
        return this.#count(queue, -removed, 0)
      }
      case 'fail':
        return this.#messages.fail(id, request.record, request.dueAt)
      case 'bury':
        return this.#messages.bury(id, request.record) && this.#count(queue, -1, 1)
      case 'read':
        return this.#buryDamaged(
          queue,
          this.#messages.read(id, request.after, request.limit, request.maxBytes, tail),
        )
      case 'load':
        return this.#buryDamaged(queue, this.#load(id, request.seqs, request.maxBytes))
      case 'counts':
        return { depth: queue.depth, dead: queue.dead }
      case 'dead-letters':
        return this.#messages.deadLetters(id, tail, request)
      case 'find-dead-letter':
        return this.#messages.findDeadLetter(id, tail, request.id)
      case 'redrive': {
        const redriven = this.#messages.redrive(id, tail, request.limit, this.#now())
        this.#count(queue, redriven, -redriven)
        return redriven
      }
      case 'redrive-message':
        return this.#messages.redriveOne(id, tail, request.id, this.#now()) && this.#count(queue, 1, -1)
      case 'discard':
        return this.#messages.discard(id, tail, request.id) && this.#count(queue, 0, -1)
      case 'pause':
        this.#queues.change(queue, { paused: request.paused })
        return true
      case 'purge': {
        const purged = this.#messages.purge(id, request.through, request.limit)
        this.#count(queue, -purged, 0)
        return purged
      }
      case 'remove':
        return this.#remove(queue, request.limit)
    }
  }

  /** A single message, by far the most common case, is answered with a bare number. */
  #enqueueAll(packed: PackedMessages): QueueReply {
    const outcomes = unpackMessages(packed).map((message) => packOutcome(this.#enqueue(message)))
    return outcomes.length === 1 ? outcomes[0] : outcomes
  }

  #enqueue(message: NewMessage): EnqueueOutcome {
    const queue = this.#queues.get(message.queue)
    if (!queue) return { outcome: 'unknown-queue' }
    if (!this.#receipts.take(queue.id, message.id)) return { outcome: 'duplicate' }
    const seq = queue.tail + 1
    this.#messages.insert(queue.id, seq, message, this.#now())
    this.#queues.change(queue, { tail: seq, depth: queue.depth + 1 })
    this.#doing.push(['message-stored', queue.name])
    return { outcome: 'accepted', seq }
  }

  #count(queue: QueueRow, depth: number, dead: number): true {
    this.#queues.change(queue, { depth: queue.depth + depth, dead: queue.dead + dead })
    return true
  }

  #load(id: number, seqs: number[], maxBytes: number): object {
    const found = []
    let bytes = 0
    for (const seq of seqs) {
      const message = this.#messages.loadOne(id, seq)
      if (message) found.push(message)
      bytes += message?.data.length ?? 0
      if (bytes >= maxBytes) break
    }
    return found
  }

  /** Makes messages whose bytes changed dead letters: they are never delivered and do not hold up the others. */
  #buryDamaged<Answer>(queue: QueueRow, answer: Answer): Answer {
    for (const { seq, attempts, stops } of this.#messages.takeDamaged()) {
      const failure = { kind: 'failed', error: DAMAGED, at: this.#now() } as const
      this.#messages.bury(queue.id, { seq, attempts, stops, failure })
      this.#count(queue, -1, 1)
    }
    return answer
  }

  #remove(queue: QueueRow, limit: number): boolean {
    const { messages } = this.#buryDamaged(
      queue,
      this.#messages.read(queue.id, 0, limit, Number.POSITIVE_INFINITY, queue.tail),
    )
    for (const { seq } of messages) this.#messages.remove(queue.id, seq)
    const dead = this.#messages.discardOldest(queue.id, queue.tail, limit)
    this.#count(queue, -messages.length, -dead)
    if (queue.depth > 0 || queue.dead > 0) return false
    this.#queues.remove(queue)
    return true
  }
}

function isPacked(request: QueueRequest): request is PackedMessages {
  return Array.isArray(request)
}

const DAMAGED =
  'The bytes of this message changed on the disk. It is not delivered; ' +
  'send it again from where it came, and discard this one.'

/**
 * Refuses a store that lacks commits which it had acknowledged, for example because its write-ahead log was cut short.
 */
function assertComplete(path: string, commits: number): void {
  const acknowledged = readHighWater(path)
  if (commits >= acknowledged) return
  throw new CqrsError(
    'CQRS_STORE_CORRUPT',
    `The store ${path} has lost commits that it acknowledged: it holds ${commits} of ${acknowledged}, ` +
      `according to ${markPath(path)}. Restore a backup; or, to continue with what is there, remove that file.`,
  )
}

serveCommits((options: QueueThreadOptions) => new QueueWriter(options))
