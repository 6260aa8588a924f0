import { expect } from 'vitest'
import { inspect } from '../../src/chaos/inspect.ts'
import inventory from '../../src/inventory/app.ts'
import type { App } from '../../src/kernel/app.ts'
import type { RecordedEvent } from '../../src/kernel/event.ts'
import { request } from './inventory-client.ts'
import type { SettledCommand } from './load.ts'
import type { Site } from './system.ts'
import { until } from './until.ts'

/** What a system holds, read from its stores. */
export interface Truth {
  readonly events: readonly RecordedEvent[]
  /** Alerts that the log calls for. */
  readonly alerts: readonly string[]
  /** How long the views took to reach the head, in milliseconds. */
  readonly caughtUpMs: number
}

/**
 * Checks that a system kept its promises about `settled`, when no command is under way any more: what
 * {@link inspect} looks at, and that queries answer what the stores hold.
 *
 * @param app the inventory, or one that is split into partitions
 * @param alone whether every event is of one of these commands
 */
export async function expectTruth(
  site: Site,
  settled: readonly SettledCommand[],
  app: App = inventory,
  alone = true,
): Promise<Truth> {
  const { findings, ...truth } = await inspect({ data: site.data, app, settled, alone })
  expect(findings).toEqual([])
  await expectOverHttp(site, truth.events.length, truth.stats)
  return truth
}

/** What users see is what the stores hold. */
async function expectOverHttp(site: Site, head: number, stats: unknown): Promise<void> {
  const answer = await until('queries are answered', async () => {
    const found = await request(`${site.http}/inventory/stats?after=${head}`)
    return found.status === 200 && found
  })
  expect(answer.headers.get('x-projection-position')).toBe(String(head))
  expect(answer.body).toEqual(stats)
}
