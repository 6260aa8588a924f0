import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

/** A span as a collector gets it. */
export interface CollectedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly attributes: Readonly<Record<string, unknown>>
  /** 2 is an error. */
  readonly status: { readonly code?: number; readonly message?: string }
  /** `service.name` of the process. */
  readonly service: string
}

/** A collector that speaks OTLP over HTTP in JSON, for one test. */
export interface Collector {
  readonly endpoint: string
  readonly spans: readonly CollectedSpan[]
  /** Paths and bodies of all exports. */
  readonly exports: readonly { readonly path: string; readonly body: unknown }[]
  /** What it answers from now on. */
  answers(status: number): void
}

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const exports: { path: string; body: unknown }[] = []
  let status = 200
  const server = createServer(async (request, response) => {
    const body = await json(request)
    const answered = status
    exports.push({ path: request.url ?? '', body })
    if (answered === 200 && request.url === '/v1/traces') spans.push(...spansOf(body as TraceExport))
    response.writeHead(answered, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    exports,
    answers(next) {
      status = next
    },
  }
}

type KeyValues = readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]

interface TraceExport {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: KeyValues }
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<CollectedSpan, 'attributes' | 'service'> & {
        readonly attributes: KeyValues
      })[]
    }[]
  }[]
}

function spansOf({ resourceSpans = [] }: TraceExport): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        attributes: plain(span.attributes),
        service: String(plain(resource.attributes)['service.name']),
      })),
    ),
  )
}

function plain(attributes: KeyValues): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
