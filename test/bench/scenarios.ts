import { append } from './append.ts'
import { command } from './command.ts'
import { effects } from './effects.ts'
import { flood } from './flood.ts'
import { growth } from './growth.ts'
import { peers } from './peers.ts'
import { projection } from './projection.ts'
import { query } from './query.ts'
import { queue } from './queue.ts'
import { rebuild } from './rebuild.ts'
import { recovery } from './recovery.ts'
import type { Scenario } from './scenario.ts'
import { soak } from './soak.ts'

/** Every scenario, in the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  append,
  command,
  queue,
  projection,
  effects,
  growth,
  query,
  rebuild,
  recovery,
  flood,
  soak,
  peers,
]
