import { randomBytes } from 'node:crypto'
import type { IIIClient } from 'iii-sdk'
import type { ChannelReader, ChannelWriter } from 'iii-sdk/channel'
import { createChannel } from 'iii-sdk/helpers'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { EngineUnderTest } from '../../support/engines.ts'
import { functionKnown, sdkWorker } from '../../support/sdk-worker.ts'
import { unique } from '../../support/unique.ts'
import { until } from '../../support/until.ts'

/** A request with its two channels, as the SDK hands it to a function. */
interface Streamed {
  readonly body: unknown
  readonly request_body: ChannelReader
  readonly response: ChannelWriter
}

/** Channels between workers, and the two that come with an HTTP request. */
export function channels(engine: () => EngineUnderTest): void {
  describe('channels', () => {
    test('a function reads what its caller wrote, all of it and nothing else', async () => {
      const caller = await sdkWorker(engine().url)
      const reader = await sdkWorker(engine().url)
      const id = unique('channels::read')
      reader.registerFunction(id, async ({ from }: { from: ChannelReader }) =>
        (await from.readAll()).toString('base64'),
      )
      await functionKnown(caller, id)
      const bytes = randomBytes(3_000_000)
      const channel = await createChannel(caller)
      const read = caller.trigger<unknown, string>({
        function_id: id,
        payload: { from: channel.readerRef },
        timeoutMs: 8_000,
      })
      channel.writer.stream.end(bytes)
      expect(Buffer.from(await read, 'base64').equals(bytes)).toBe(true)
    })

    test('texts and bytes arrive in order, though the writer left before the reader came', async () => {
      const { writer, reader } = await openChannel(await sdkWorker(engine().url), engine())
      const writing = await connected(writer)
      writing.send('one')
      writing.send(Buffer.from([2]))
      writing.send('three')
      writing.close()
      await closed(writing)
      const reading = new WebSocket(reader)
      const seen: (string | Buffer)[] = []
      reading.on('message', (data, isBinary) => seen.push(isBinary ? (data as Buffer) : String(data)))
      await closed(reading)
      expect(seen).toEqual(['one', Buffer.from([2]), 'three'])
    })

    test('an end can be opened once: a second one is closed without a message', async () => {
      const { writer, reader } = await openChannel(await sdkWorker(engine().url), engine())
      const first = await connected(reader)
      const second = await connected(reader)
      await closed(second)
      const seen: string[] = []
      first.on('message', (data) => seen.push(String(data)))
      const writing = await connected(writer)
      writing.send('for the first')
      await until('the message', () => seen.length === 1)
      writing.close()
      await closed(first)
    })

    test('a channel opens to nobody without its key', async () => {
      const { reader } = await openChannel(await sdkWorker(engine().url), engine())
      const url = new URL(reader)
      url.searchParams.set('key', crypto.randomUUID())
      expect(await refusal(url.href)).toBe(404)
    })

    test.each([
      ['application/octet-stream', null],
      ['application/json', { kept: 1 }],
    ])('a function reads the body of type %s byte by byte', async (type, body) => {
      const worker = await sdkWorker(engine().url)
      const path = await serve(worker, async (request) => ({
        body: { parsed: request.body, bytes: (await request.request_body.readAll()).toString() },
      }))
      const sent = ' { "kept" : 1 }\n'
      const response = await fetch(engine().httpUrl + path, {
        method: 'POST',
        headers: { 'content-type': type },
        body: sent,
      })
      expect([response.status, await response.json()]).toEqual([200, { parsed: body, bytes: sent }])
    })

    test('a function answers piece by piece with a status and headers of its own', async () => {
      const worker = await sdkWorker(engine().url)
      const { promise: firstSeen, resolve: sawFirst } = Promise.withResolvers<void>()
      const path = await serve(worker, async ({ response }) => {
        response.sendMessage(JSON.stringify({ type: 'set_status', status_code: 201 }))
        response.sendMessage(
          JSON.stringify({ type: 'set_headers', headers: { 'content-type': 'text/event-stream' } }),
        )
        response.stream.write('first;')
        await firstSeen
        response.stream.end('second')
      })
      const answer = await fetch(engine().httpUrl + path, { method: 'POST' })
      expect([answer.status, answer.headers.get('content-type')]).toEqual([201, 'text/event-stream'])
      let text = ''
      for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += piece
        if (text === 'first;') sawFirst()
      }
      expect(text).toBe('first;second')
    })

    test('a function that closes its answer without a body has answered', async () => {
      const worker = await sdkWorker(engine().url)
      const path = await serve(worker, async ({ response }) => {
        response.sendMessage(JSON.stringify({ type: 'set_status', status_code: 202 }))
        response.close()
      })
      const answer = await fetch(engine().httpUrl + path, { method: 'POST' })
      expect([answer.status, await answer.text()]).toEqual([202, ''])
    })

    test('what a function returns wins over an answer that it only began', async () => {
      const worker = await sdkWorker(engine().url)
      const path = await serve(worker, async ({ response }) => {
        // By the time the SDK has opened the channel, the request may have been answered.
        response.stream.on('error', () => {})
        response.sendMessage(JSON.stringify({ type: 'set_status', status_code: 202 }))
        return { status_code: 409, body: { error: 'taken' } }
      })
      const answer = await fetch(engine().httpUrl + path, { method: 'POST' })
      expect([answer.status, await answer.json()]).toEqual([409, { error: 'taken' }])
    })
  })
}

async function serve(worker: IIIClient, handler: (request: Streamed) => Promise<unknown>): Promise<string> {
  const id = unique('channels::handler')
  const path = `/${unique('channels')}`
  worker.registerFunction(id, handler)
  worker.registerTrigger({
    type: 'http',
    function_id: id,
    config: { api_path: path, http_method: 'POST' },
  })
  await functionKnown(worker, id)
  await until('the route', async () => {
    const { registered_triggers } = await worker.trigger({
      function_id: 'engine::registered-triggers::list',
      payload: { function_id: id },
    })
    return registered_triggers.length === 1
  })
  return path
}

/** The addresses of both ends of a new channel. */
async function openChannel(worker: IIIClient, engine: EngineUnderTest) {
  const { readerRef, writerRef } = await createChannel(worker)
  const [reader, writer] = [readerRef, writerRef].map(
    (ref) => `${engine.url}/ws/channels/${ref.channel_id}?key=${ref.access_key}&dir=${ref.direction}`,
  ) as [string, string]
  return { reader, writer }
}

async function connected(url: string): Promise<WebSocket> {
  const ws = new WebSocket(url)
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject))
  return ws
}

async function closed(ws: WebSocket): Promise<void> {
  await until('the connection to be closed', () => ws.readyState === WebSocket.CLOSED)
}

async function refusal(url: string): Promise<number | undefined> {
  const ws = new WebSocket(url)
  ws.on('error', () => {})
  return new Promise((resolve) => {
    ws.once('unexpected-response', (_request, response) => resolve(response.statusCode))
    ws.once('open', () => resolve(undefined))
  })
}
