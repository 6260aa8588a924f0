import type { RoleName, StartRole } from './role.ts'

/** How each role starts. */
export const STARTERS: Readonly<Partial<Record<RoleName, StartRole>>> = {}
