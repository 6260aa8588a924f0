import type { ControlStore } from '../../src/control/contract.ts'

/**
 * Lets two generations of `list`, of one part each, take each other's place over and over, until the flag is set. To begin
 * with, 2 is active for the first swap, and has taken over.
 *
 * @returns how many swaps there were
 */
export async function swapInTurns(store: ControlStore, flag: Int32Array): Promise<number> {
  let swaps = 0
  for (let [active, other] = [2, 1]; Atomics.load(flag, 0) === 0; [active, other] = [other, active]) {
    await store.move('list', other, 'returning')
    await store.lead('list', other, 0, active)
    const { kind } = await store.swap('list', other)
    if (kind !== 'swapped') throw new Error(`The swap was ${kind}.`)
    swaps += 1
    await store.tookOver('list', 0, swaps + 1)
  }
  return swaps
}
