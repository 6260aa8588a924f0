import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import type { RecordedEvent } from '../../kernel/event.ts'
import type { CliContext } from './context.ts'
import { exportCommand, importCommand } from './events-file.ts'
import { type CallOperation, patiently, withOperations } from './operations.ts'
import { cut, printable } from './table.ts'
import { several, wholeNumber } from './values.ts'

/** Events fetched in one call. */
const PAGE = 500

/** How often `--follow` looks for new events, in milliseconds. */
const FOLLOW_INTERVAL_MS = 500

interface TailOptions {
  readonly from?: number
  readonly limit: number
  readonly type?: string[]
  readonly stream?: string
  readonly follow?: boolean
  readonly json?: boolean
}

/** `cqrs events`. */
export function eventsCommand(context: CliContext): Command {
  const tail = new Command('tail')
    .description('Show events of the log: the last ones, or those from a position on.')
    .option(
      '--from <position>',
      'the first position to show, instead of the last events',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '-n, --limit <events>',
      'show at most this many; with --follow, before the new ones',
      wholeNumber(0, 1_000_000),
      20,
    )
    .option('--type <type>', 'only events of this type; may be given several times', several)
    .option('--stream <stream>', 'only events of this stream')
    .option('-f, --follow', 'show new events as they arrive, until Ctrl-C')
    .option('--json', 'print each event as JSON on a line of its own')
    .addHelpText(
      'after',
      `
Examples:
  cqrs events tail
  cqrs events tail --follow --type inventory-item-sold
  cqrs events tail --from 1 --limit 100000 --json > events.ndjson`,
    )
    .action((options: TailOptions) => withOperations(context, (call) => tailEvents(call, options, context)))
  return new Command('events')
    .description('Read the event log; export events and import them into another log.')
    .addCommand(tail)
    .addCommand(showCommand(context))
    .addCommand(exportCommand(context))
    .addCommand(importCommand(context))
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('Show one event, with everything that is stored about it, as JSON.')
    .argument('<position>', 'its position', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--json', 'print it as JSON (the default)')
    .addHelpText('after', '\nExample:\n  cqrs events show 42')
    .action(async (position: number) => {
      const event = await withOperations(context, (call) => call('ops::event', { position }))
      context.print(JSON.stringify(event, null, 2))
    })
}

async function tailEvents(call: CallOperation, options: TailOptions, context: CliContext): Promise<void> {
  let shown = 0
  const show = async (events: readonly RecordedEvent[]) => {
    shown += events.length
    for (const event of events) {
      context.print(options.json ? JSON.stringify(event) : renderEvent(event, context.width))
    }
    await context.printed()
  }
  const filter = { types: options.type, stream: options.stream }
  let after = options.from === undefined ? await showLast() : await showFrom(options.from - 1)

  if (!options.follow && shown === 0 && options.limit > 0) context.warn('There is no such event.')
  while (options.follow) {
    await patiently(async () => {
      const page = await call('ops::events', { ...filter, after, limit: PAGE })
      await show(page.events)
      after = page.next
      if (page.next >= page.head) await delay(FOLLOW_INTERVAL_MS)
    }, context)
  }

  async function showFrom(start: number): Promise<number> {
    let through = start
    for (let left = options.limit; left > 0; ) {
      const page = await call('ops::events', { ...filter, after: through, limit: Math.min(left, PAGE) })
      await show(page.events)
      left -= page.events.length
      through = page.next
      if (page.next >= page.head) break
    }
    return through
  }

  /** Without a filter, the last events are the last positions. With a filter, the whole log has to be searched. */
  async function showLast(): Promise<number> {
    const { head } = await call('ops::events', { limit: 1 })
    const isFiltered = options.type !== undefined || options.stream !== undefined
    let through = isFiltered ? 0 : Math.max(0, head - options.limit)
    let last: RecordedEvent[] = []
    while (through < head) {
      const page = await call('ops::events', { ...filter, after: through, limit: PAGE })
      last = options.limit === 0 ? [] : [...last, ...page.events].slice(-options.limit)
      through = page.next
    }
    await show(last)
    return through
  }
}

/** One event on one line of at most `width` characters. */
export function renderEvent(event: RecordedEvent, width: number): string {
  const { position, recordedAt, type, stream, version, data } = event
  return cut(
    `${String(position).padStart(8)}  ${recordedAt}  ${type}  ${printable(stream)}@${version}  ${JSON.stringify(data)}`,
    width,
  )
}
