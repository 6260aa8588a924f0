import type { IIIClient } from 'iii-sdk'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { dataPaths } from '../../src/config/paths.ts'
import { openSqliteControl } from '../../src/control/sqlite/control-store.ts'
import type { ProjectionDefinition } from '../../src/kernel/projection.ts'
import { unitsOf } from '../../src/kernel/unit.ts'
import { openSqliteEventLog } from '../../src/log/sqlite/event-log.ts'
import { Turns } from '../../src/projection/turns.ts'
import { CallsInFlight } from '../../src/workers/link/calls-in-flight.ts'
import { Metrics } from '../../src/workers/process/metrics.ts'
import { relayTracing } from '../../src/workers/process/tracing.ts'
import { openLiveUnit } from '../../src/workers/projections/live-unit.ts'
import { tempFolder } from './temp-folder.ts'
import app from './troubled-app.ts'

/** The projection of the unit. */
export const projection = app.projections.get('troubled') as ProjectionDefinition

/** The unit of a view, at work as in a projections worker; `lines` are the messages of `level` that it has logged. */
export async function liveUnit({ env = {}, turns = new Turns(), level = 'error' } = {}) {
  const cwd = tempFolder()
  const appModule = new URL('./troubled-app.ts', import.meta.url).pathname
  const config = loadConfig({ env: { CQRS_APP: appModule, ...env }, cwd })
  const events = openSqliteEventLog({ path: dataPaths(config.data).events })
  const control = openSqliteControl({ path: dataPaths(config.data).control })
  await control.adopt({ projection: 'troubled', generation: 1, version: 1, partitions: 1 })
  const lines: string[] = []
  const metrics = new Metrics()
  const log = pino({ level }, { write: (line) => void lines.push(JSON.parse(line).msg) })
  const open = async () => {
    const live = await openLiveUnit(unitsOf(projection)[0] as ReturnType<typeof unitsOf>[number], {
      events,
      control,
      turns,
      context: {
        app,
        code: '',
        config,
        iii: {} as IIIClient,
        inFlight: new CallsInFlight(),
        log,
        metrics,
        tracing: relayTracing(),
        stands: () => undefined,
        met: () => undefined,
        fail: () => undefined,
        stopping: new AbortController().signal,
      },
    })
    onTestFinished(async () => {
      await live.close()
      await control.close()
      await events.close()
    })
  }
  const generation = async (wanted: number) =>
    (await control.projection('troubled'))?.generations.find((one) => one.generation === wanted)
  return { data: config.data, events, control, lines, metrics, open, generation }
}
