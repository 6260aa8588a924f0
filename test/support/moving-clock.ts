import { readFileSync } from 'node:fs'

/*
 * Preloaded into a process (`--import`), moves its wall clock by as many milliseconds as the file $MOVING_CLOCK
 * says, whenever that changes; as a machine's clock is set while programs run.
 */
const path = process.env.MOVING_CLOCK ?? ''
const wall = Date.now
let offset = 0
let looked = Number.NEGATIVE_INFINITY

Date.now = () => {
  const at = performance.now()
  if (at - looked > 20) {
    looked = at
    offset = Number(readFileSync(path, 'utf8'))
  }
  return wall() + offset
}

const RealDate = Date
globalThis.Date = new Proxy(RealDate, {
  construct: (target, given: unknown[]) =>
    Reflect.construct(target, given.length > 0 ? given : [RealDate.now()]),
})
