import { afterAll, beforeAll, describe, test } from 'vitest'
import { ENGINE_KINDS, type EngineKind, type EngineUnderTest } from '../support/engines.ts'
import { calls } from './suites/calls.ts'
import { channels } from './suites/channels.ts'
import { enqueue } from './suites/enqueue.ts'
import { events } from './suites/events.ts'
import { http } from './suites/http.ts'
import { introspection } from './suites/introspection.ts'
import { ownership } from './suites/ownership.ts'
import { pubsub } from './suites/pubsub.ts'
import { reconnects } from './suites/reconnects.ts'
import { state } from './suites/state.ts'
import { triggers } from './suites/triggers.ts'

// What an iii engine does, as workers see it. Nothing here may know which engine it talks to.
for (const kind of ENGINE_KINDS) {
  const { missing } = kind
  if (missing === undefined) describe(kind.name, () => conformance(kind))
  else describe.skipIf(true)(kind.name, () => test(`skipped: ${missing}`, () => {}))
}

function conformance(kind: EngineKind): void {
  let engine: EngineUnderTest
  beforeAll(async () => {
    engine = await kind.start()
  })
  afterAll(() => engine?.stop())

  const suites = [
    ownership,
    calls,
    enqueue,
    triggers,
    http,
    channels,
    state,
    pubsub,
    introspection,
    events,
    reconnects,
  ]
  for (const suite of suites) suite(() => engine)
}
