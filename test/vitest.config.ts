import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export default defineConfig({
  test: {
    root: ROOT,
    // Tests start hundreds of processes, each on a new data folder, where `cqrs up` would have all modules compiled anew.
    env: { NODE_COMPILE_CACHE: `${ROOT}node_modules/.cache/compiled-for-tests` },
    include: ['test/**/*.test.ts'],
    // Crash and conformance tests start real processes; two cores carry two files at a time.
    maxWorkers: 2,
    // They end tests that hang, no more: a machine that runs tests is busy, and a test may start a dozen processes.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
