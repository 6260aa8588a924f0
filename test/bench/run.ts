import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fillOptions } from './options.ts'
import type { ScenarioResult } from './report.ts'
import type { Scenario } from './scenario.ts'

export interface RunOptions {
  /** Texts of `--set`. */
  readonly given: ReadonlyMap<string, string>
  /** The sizes of the smoke test. */
  readonly tiny: boolean
  readonly rounds: number
  /** Where folders of scenarios are made. */
  readonly folder: string
  readonly profile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  say(what: string): void
}

/** Runs one scenario in a folder of its own. */
export async function runScenario(scenario: Scenario, run: RunOptions): Promise<ScenarioResult> {
  const options = fillOptions(scenario, run.given, run.tiny)
  const folder = mkdtempSync(join(run.folder, `${scenario.name}-`))
  const notes: string[] = []
  const began = performance.now()
  try {
    const rows = await scenario.run({
      options,
      rounds: run.rounds,
      folder,
      profile: run.profile,
      env: run.env,
      say: (what) => run.say(`${scenario.name}: ${what}`),
      note: (what) => notes.push(what),
    })
    const seconds = Math.round((performance.now() - began) / 1_000)
    const { name, durable } = scenario
    return { scenario: name, durable, options, rounds: run.rounds, seconds, rows, notes }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
