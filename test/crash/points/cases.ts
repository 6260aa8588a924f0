import type { Boundary } from '../../../src/boundaries.ts'
import type { CrashWorld } from '../../support/crash-world.ts'

/** For each boundary: brings a part there, sees it killed, and checks what the boundary is about. */
export type CrashCases = Partial<Record<Boundary, (world: CrashWorld) => Promise<void>>>
