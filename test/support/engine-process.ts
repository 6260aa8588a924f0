import { startEngine } from '../../src/engine/engine.ts'

/** An engine as a process of its own, to be killed: its state is in the file named by the first argument. */
const engine = await startEngine({ port: 0, http: false, state: { path: process.argv[2] } })
process.send?.({ url: engine.url })
