import {
  AggregatorRegistry,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client'
import type { WorkerProcess } from '../../operator/contract.ts'
import { listProjections } from '../../operator/generations.ts'
import { listQueues } from '../../operator/queues.ts'
import { systemStatus } from '../../operator/status.ts'
import type { System } from '../../operator/system.ts'

/** The figures of one worker process. */
export interface ProcessMetrics {
  readonly self: WorkerProcess
  readonly metrics: readonly MetricObjectWithValues<MetricValue<string>>[]
}

/**
 * All metrics, as text in the format of Prometheus: what each worker process has counted, labelled with the process,
 * and the state of the system, which is read from the stores now.
 */
export async function renderMetrics(
  system: System,
  told: Promise<readonly ProcessMetrics[]>,
): Promise<string> {
  // In parallel: a scrape waits once for all parts that do not answer, not for one after the other.
  const [processes, gauges] = await Promise.all([told, systemGauges(system, told)])
  const labelled = processes.map(({ self, metrics }) => {
    const labels = { process: self.roles.map(({ role }) => role).join('+'), pid: String(self.pid) }
    return metrics.map((metric) => ({
      ...metric,
      // No two processes have the same labels, so nothing is added up, and nothing is left out.
      aggregator: 'sum' as const,
      values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, ...labels } })),
    }))
  })
  return AggregatorRegistry.aggregate([...labelled, await gauges.getMetricsAsJSON()]).metrics()
}

async function systemGauges(system: System, told: Promise<readonly ProcessMetrics[]>): Promise<Registry> {
  const registry = new Registry()
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  const queues = queueGauges(system, gauge)
  const status = await systemStatus(system)
  gauge('cqrs_log_head_position', 'Last position of the log.').set(status.head)
  const position = gauge('cqrs_projection_position', 'Position of each view.', ['projection'])
  const lag = gauge('cqrs_projection_lag_events', 'Events between a view and the head of the log.', [
    'projection',
  ])
  const seconds = gauge(
    'cqrs_projection_lag_seconds',
    'Age of the oldest event that a view has not reached.',
    ['projection'],
  )
  const owned = gauge('cqrs_projection_owned', '1 if a worker owns the projection, 0 if nobody does.', [
    'projection',
  ])
  const damaged = gauge('cqrs_projection_damaged', '1 if the file of the view is damaged.', ['projection'])
  const parked = gauge('cqrs_parked_events', 'Parked events by status.', ['projection', 'status'])
  const effects = gauge('cqrs_effects', 'Effects that are recorded and not sent, by status.', [
    'projection',
    'status',
  ])
  for (const each of status.projections) {
    const { name: projection } = each
    owned.set({ projection }, each.owned ? 1 : 0)
    damaged.set({ projection }, each.damaged === null ? 0 : 1)
    // A view that cannot be read has no figures.
    if (each.position === null) continue
    position.set({ projection }, each.position)
    lag.set({ projection }, each.lag)
    seconds.set({ projection }, each.lagSeconds ?? Number.NaN)
    for (const state of ['retrying', 'dead', 'waiting'] as const) {
      parked.set({ projection, status: state }, each.parked[state])
    }
    for (const state of ['pending', 'dead'] as const)
      effects.set({ projection, status: state }, each.effects[state])
  }
  await generationGauges(system, gauge)
  await queues
  const role = gauge('cqrs_worker_role', '1 if a process is at work in a role, 0 if it stands by.', [
    'role',
    'pid',
  ])
  for (const { self } of await told) {
    for (const each of self.roles) {
      role.set({ role: each.role, pid: String(self.pid) }, each.state === 'at work' ? 1 : 0)
    }
  }
  const { free, total } = await system.disk()
  gauge('cqrs_disk_free_bytes', 'Free space on the disk of the data folder.').set(free)
  gauge('cqrs_disk_size_bytes', 'Size of the disk of the data folder.').set(total)
  return registry
}

/** The progress of each generation, and its size on disk. */
async function generationGauges(
  system: System,
  gauge: (name: string, help: string, labelNames: GenerationLabel[]) => Gauge<GenerationLabel>,
): Promise<void> {
  const labelNames: GenerationLabel[] = ['projection', 'generation', 'state']
  const position = gauge('cqrs_generation_position', 'Position of each generation of a view.', labelNames)
  const target = gauge(
    'cqrs_generation_target_position',
    'Position that a generation has to reach.',
    labelNames,
  )
  const speed = gauge(
    'cqrs_generation_events_per_second',
    'Events per second at which a generation is being built.',
    labelNames,
  )
  const bytes = gauge('cqrs_generation_bytes', 'Size of a generation on the disk.', labelNames)
  for (const { name: projection, generations } of (await listProjections(system)).projections) {
    for (const each of generations) {
      const labels = { projection, generation: String(each.generation), state: each.state }
      position.set(labels, each.position)
      target.set(labels, each.target)
      speed.set(labels, each.eventsPerSecond)
      bytes.set(labels, each.bytes)
    }
  }
}

type GenerationLabel = 'projection' | 'generation' | 'state'

async function queueGauges(
  system: System,
  gauge: (name: string, help: string, labelNames: 'queue'[]) => Gauge<'queue'>,
): Promise<void> {
  const up = gauge('cqrs_queue_provider_up', '1 if a queue worker answers.', [])
  const depth = gauge('cqrs_queue_depth', 'Messages that are neither finished nor dead.', ['queue'])
  const age = gauge('cqrs_queue_oldest_message_age_seconds', 'Age of the oldest waiting message.', ['queue'])
  const dead = gauge('cqrs_queue_dead_letters', 'Messages that were given up.', ['queue'])
  const inFlight = gauge('cqrs_queue_in_flight', 'Messages that are being delivered.', ['queue'])
  const paused = gauge('cqrs_queue_paused', '1 if an operator has paused the queue.', ['queue'])
  up.set(0)
  try {
    for (let after = ''; ; ) {
      const page = await listQueues(system, { after, limit: 500 })
      for (const each of page.queues) {
        const { queue } = each
        depth.set({ queue }, each.depth)
        dead.set({ queue }, each.deadLetters)
        inFlight.set({ queue }, each.inFlight)
        paused.set({ queue }, each.paused ? 1 : 0)
        const waited = each.oldestAt === null ? 0 : system.now().getTime() - Date.parse(each.oldestAt)
        age.set({ queue }, Math.max(0, waited / 1_000))
      }
      if (page.next === null) break
      after = page.next
    }
    up.set(1)
  } catch {
    // A missing queue worker is a state of the system; `cqrs_queue_provider_up` stays 0.
  }
}
