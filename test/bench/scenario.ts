import type { Spread } from './lab/spread.ts'

/** A value of a scenario's option: a number, a list of numbers, or a word. */
export type OptionValue = number | readonly number[] | string

/** What a scenario can be told with `--set name=value`. The type of the default is the option's type. */
export interface ScenarioOption {
  readonly help: string
  readonly default: OptionValue
  /** In the smoke test, where a scenario has to work and not to measure. The default if left out. */
  readonly tiny?: OptionValue
}

/** One measured line: what was varied, and what came out. */
export interface Row {
  /** What tells this line from the others, e.g. `{ callers: 64 }`. */
  readonly of: Readonly<Record<string, string | number>>
  /** What was measured. A ratio stands beside what it is made of. */
  readonly is: Readonly<Record<string, Spread | number | string>>
}

/** What a scenario has at hand while it runs. */
export interface Bench<Options> {
  readonly options: Options
  /** Measured rounds of each line, after one that warms up. */
  readonly rounds: number
  /** A folder for its stores; emptied by the harness after the scenario. */
  readonly folder: string
  /** Where processes leave their CPU profiles, if that was asked for. */
  readonly profile: string | undefined
  /** Environment of the peers' servers: `REDIS_URL`, `POSTGRES_URL`. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Tells what is going on, on standard error. */
  say(what: string): void
  /** Something that a reader must know about the lines: what was left out and why. */
  note(what: string): void
}

type Values<Options extends Record<string, ScenarioOption>> = {
  readonly [Name in keyof Options]: Options[Name]['default'] extends number
    ? number
    : Options[Name]['default'] extends readonly number[]
      ? readonly number[]
      : string
}

/** One thing that can be measured. */
export interface Scenario {
  readonly name: string
  /** One line: what is measured. */
  readonly title: string
  /** What was on stable storage when the answer came. */
  readonly durable: string
  readonly options: Readonly<Record<string, ScenarioOption>>
  run(bench: Bench<Readonly<Record<string, OptionValue>>>): Promise<readonly Row[]>
}

/** Defines a scenario; its `run` gets the options with the types of their defaults. */
export function defineScenario<const Options extends Record<string, ScenarioOption>>(scenario: {
  name: string
  title: string
  durable: string
  options: Options
  run(bench: Bench<Values<Options>>): Promise<readonly Row[]>
}): Scenario {
  return scenario as unknown as Scenario
}
