import { activeOf, type ControlStore, type ProjectionControl } from '../control/contract.ts'
import { isComing } from '../control/machine.ts'
import type { ProjectionUnit } from '../kernel/unit.ts'
import { fits } from './place.ts'

/**
 * From now on this process advances the active generation of a unit, but not one that other code has made lead. So that
 * one falls behind, before anything advances. Its code goes on with it when it has the units again.
 *
 * @returns the state of the control store after that
 */
export async function takeTheLead({
  unit,
  control,
}: {
  readonly unit: ProjectionUnit
  readonly control: ControlStore
}): Promise<ProjectionControl | undefined> {
  const { projection, partition } = unit
  const state = await control.projection(projection.name)
  const active = activeOf(state)
  if (!state || !active || !fits(active, projection)) return state
  for (const generation of state.generations) {
    if (!isComing(generation.state) || fits(generation, projection)) continue
    const isSplitAlike = generation.partitions === partition.count
    const passed = generation.parts.filter(
      (part) => part.leading && (!isSplitAlike || part.partition === partition.index),
    )
    if (passed.length === 0) continue
    const partitions = passed.map((part) => part.partition)
    await control.fallBehind(projection.name, generation.generation, partitions)
  }
  return control.projection(projection.name)
}
