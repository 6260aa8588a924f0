import type { OptionValue, Scenario, ScenarioOption } from './scenario.ts'

/**
 * Fills in the options of a scenario: what was given with `--set`, else the tiny value if `tiny`, else the
 * default.
 *
 * @param given texts by name
 * @throws Error if a text does not fit; options that the scenario does not have are left to others
 */
export function fillOptions(
  scenario: Scenario,
  given: ReadonlyMap<string, string>,
  tiny: boolean,
): Readonly<Record<string, OptionValue>> {
  const filled = Object.entries(scenario.options).map(([name, option]) => {
    const text = given.get(name)
    if (text === undefined) return [name, tiny ? (option.tiny ?? option.default) : option.default]
    return [name, parse(`${scenario.name}: ${name}`, text, option)]
  })
  return Object.fromEntries(filled)
}

function parse(what: string, text: string, option: ScenarioOption): OptionValue {
  if (typeof option.default === 'string') return text
  const numbers = text.split(',').map(Number)
  if (text === '' || numbers.some((number) => !Number.isFinite(number) || number < 0)) {
    throw new Error(`${what} takes numbers that are not negative, joined by commas; "${text}" is not that.`)
  }
  if (typeof option.default !== 'number') return numbers
  if (numbers.length === 1) return numbers[0] as number
  throw new Error(`${what} takes one number.`)
}
