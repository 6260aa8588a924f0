import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync, readFileSync } from 'node:fs'
import { BOUNDARIES, type Boundary, boundaryChannel, type Reached } from '../../src/boundaries.ts'
import type { Trap } from './boundary-trap.ts'

/*
 * Loaded into a process under test and each of its threads before anything else (`node --import`): kills or
 * stops the process at the boundary that the trap file names, in the thread that has reached it.
 */

const file = process.env.TEST_BOUNDARY_TRAP
/** Hits of the trap that is set, in this thread. */
let hits = 0
let counted = ''

if (file !== undefined) {
  for (const boundary of Object.keys(BOUNDARIES)) {
    subscribe(boundaryChannel(boundary as Boundary), (message) => step(file, message as Reached))
  }
}

function step(path: string, { boundary, of }: Reached): void {
  const text = readFileSync(path, 'utf8')
  if (text === '') return
  const trap = JSON.parse(text) as Trap
  if (trap.boundary !== boundary || !isAbout(of, trap.of)) return
  hits = counted === text ? hits + 1 : 1
  counted = text
  if (hits !== trap.hit) return
  appendFileSync(`${path}.reached`, `${trap.id}\n`)
  process.kill(process.pid, trap.signal)
  // Not one step further: until the kernel has ended the process, or has stopped it and it was woken again.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, trap.signal === 'SIGKILL' ? undefined : 100)
}

/** An effect is named by its key, which begins with its projection. */
function isAbout(of: string | undefined, wanted: string | undefined): boolean {
  return wanted === undefined || of === wanted || of?.startsWith(`${wanted}:`) === true
}
