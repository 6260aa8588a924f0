import { closedLoop } from '../lab/pace.ts'
import type { PeerOutput } from '../peer.ts'
import { SAMPLE_METADATA, SAMPLE_TYPE, sampleData, sampleStream } from '../tasks/sample-event.ts'

/** The part of an emmett event store that is measured. */
export interface EmmettStore {
  appendToStream(
    stream: string,
    events: { type: string; data: unknown; metadata: unknown }[],
    options: { expectedStreamVersion: unknown },
  ): Promise<{ nextExpectedStreamVersion: bigint }>
}

/** Appends of one event, each with the version that its stream is expected to have. */
export async function appendTo(
  store: EmmettStore,
  { callers, seconds, streams }: { callers: number; seconds: number; streams: number },
): Promise<PeerOutput> {
  const versions = new Map<string, bigint>()
  let index = 0
  let failed = 0
  const append = async () => {
    index += 1
    const stream = sampleStream(index, streams)
    const event = { type: SAMPLE_TYPE, data: sampleData(index), metadata: SAMPLE_METADATA }
    const expectedStreamVersion = versions.get(stream) ?? 'STREAM_DOES_NOT_EXIST'
    try {
      const { nextExpectedStreamVersion } = await store.appendToStream(stream, [event], {
        expectedStreamVersion,
      })
      versions.set(stream, nextExpectedStreamVersion)
    } catch {
      failed += 1
    }
  }
  await append()
  failed = 0
  const { done, seconds: taken } = await closedLoop(callers, { seconds }, append)
  return { addedPerSecond: (done - failed) / taken, failed }
}
