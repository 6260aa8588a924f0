#!/usr/bin/env node
// Plain JavaScript, so that a Node that cannot read TypeScript gets this far and can say so.
import * as crypto from 'node:crypto'
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'

const major = Number(process.versions.node.split('.')[0])

// Of Node 24 it has to be 24.16 or newer, which makes ids that sort by time.
if (major >= 24 && 'randomUUIDv7' in crypto) {
  // Nearly half of what a short command takes is compiling. Kept beside the code, where whoever may write could change that
  // itself; where this process may not write, nothing is kept.
  nodeModule.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)))
  await import('./cli.ts')
} else {
  process.stderr.write(
    `CQRS_NODE_TOO_OLD: this needs Node 24.16 or newer and was started with Node ${process.versions.node}.\n` +
      'Start it through npm ("npm start", "npx cqrs status"), whose installation brings the right Node along. If npm\n' +
      'held back the install script of "node", approve it as npm says and run "npm rebuild node".\n',
  )
  process.exitCode = 2
}
