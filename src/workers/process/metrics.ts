import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { CommandOutcome } from '../../command/execute.ts'
import type { SendOutcome } from '../../projection/effect-sender.ts'
import type { DeliveryOutcome } from '../../queue/runner.ts'

/** Buckets in seconds, from one commit on a good disk to a call that is about to time out. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const EVENTS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000]

/**
 * The metrics of one worker process, in the names and units of Prometheus. Recording costs a map look-up and an
 * addition; nothing is computed until somebody asks.
 */
export class Metrics {
  readonly registry = new Registry()
  readonly #commands = this.#counter('cqrs_commands_total', 'Commands by outcome.', ['command', 'outcome'])
  readonly #commandSeconds = this.#histogram(
    'cqrs_command_duration_seconds',
    'Time from a command to its answer.',
    ['command'],
    SECONDS,
  )
  readonly #appended = this.#counter('cqrs_events_appended_total', 'Events that commands appended.', [
    'command',
  ])
  readonly #conflicts = this.#counter(
    'cqrs_append_conflicts_total',
    'Appends that were decided again because another command changed the stream first.',
    [],
  )
  readonly #fanOut = this.#counter(
    'cqrs_fan_out_total',
    'Messages to the queues of projections, by whether the queue accepted them.',
    ['projection', 'outcome'],
  )
  readonly #advances = this.#counter(
    'cqrs_projection_advances_total',
    'How often a projection advanced, by what caused it: a message of the queue, or its own sweep.',
    ['projection', 'path'],
  )
  readonly #batchEvents = this.#histogram(
    'cqrs_apply_batch_events',
    'Events in one transaction of a projection.',
    ['projection'],
    EVENTS,
  )
  readonly #batchSeconds = this.#histogram(
    'cqrs_apply_duration_seconds',
    'Time to read, fold and commit one batch of a projection.',
    ['projection'],
    SECONDS,
  )
  readonly #effects = this.#counter('cqrs_effects_total', 'Attempts to send an effect, by outcome.', [
    'projection',
    'outcome',
  ])
  readonly #enqueued = this.#counter('cqrs_queue_enqueued_total', 'Messages that a queue accepted.', [
    'queue',
  ])
  readonly #deliveries = this.#counter('cqrs_queue_deliveries_total', 'Deliveries by outcome.', [
    'queue',
    'outcome',
  ])
  readonly #retries = this.#counter(
    'cqrs_queue_retries_total',
    'Deliveries of messages that had failed before.',
    ['queue'],
  )
  readonly #deliverySeconds = this.#histogram(
    'cqrs_queue_delivery_duration_seconds',
    'Time that a function took to handle a message.',
    ['queue'],
    SECONDS,
  )

  /** Adds the figures of the process itself: memory, processor, event loop, garbage collection. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry })
  }

  command(command: string): (outcome: CommandOutcome | undefined) => void {
    const seconds = this.#commandSeconds.startTimer({ command })
    return (outcome) => {
      seconds()
      this.#commands.inc({ command, outcome: outcome?.kind ?? 'failed' })
      if (outcome?.kind === 'accepted' && !outcome.replayed) this.#appended.inc({ command }, outcome.events)
    }
  }

  conflict(): void {
    this.#conflicts.inc()
  }

  fanOut(projection: string, outcome: 'sent' | 'failed'): void {
    this.#fanOut.inc({ projection, outcome })
  }

  advanced(projection: string, path: 'queue' | 'sweep'): void {
    this.#advances.inc({ projection, path })
  }

  /** Called when a batch begins. @returns a function to call with the number of events when the batch is committed */
  batch(projection: string): (events: number) => void {
    const seconds = this.#batchSeconds.startTimer({ projection })
    return (events) => {
      seconds()
      this.#batchEvents.observe({ projection }, events)
    }
  }

  effect(projection: string, outcome: SendOutcome | 'failed'): void {
    this.#effects.inc({ projection, outcome })
  }

  enqueued(queue: string): void {
    this.#enqueued.inc({ queue })
  }

  /** Called when a delivery begins. @returns a function to call with how it ended */
  delivery(queue: string, attempts: number): (outcome: DeliveryOutcome) => void {
    const seconds = this.#deliverySeconds.startTimer({ queue })
    return ({ outcome }) => {
      this.#deliveries.inc({ queue, outcome })
      // No function got the message: it is asked for again and again, which is no retry.
      if (outcome === 'missing' || outcome === 'unsent') return
      seconds()
      if (attempts > 0) this.#retries.inc({ queue })
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    buckets: number[],
  ): Histogram<Label> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] })
  }
}
