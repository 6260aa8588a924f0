import { Command } from 'commander'
import type { QueueSummary, QueuesPage } from '../contract.ts'
import type { CliContext } from './context.ts'
import { type CallOperation, withOperations } from './operations.ts'
import { type Column, count, layOut, oneLine } from './table.ts'

/** `cqrs queues`. */
export function queuesCommand(context: CliContext): Command {
  return new Command('queues')
    .description('Show queues, pause and resume them, or delete the messages that wait in one.')
    .addCommand(listCommand(context))
    .addCommand(oneCommand(context, 'show', 'Show one queue with its settings.', 'ops::queue'))
    .addCommand(
      oneCommand(
        context,
        'pause',
        'Stop the deliveries of a queue; it still accepts messages.',
        'ops::queue-pause',
      ),
    )
    .addCommand(oneCommand(context, 'resume', 'Resume the deliveries of a queue.', 'ops::queue-resume'))
    .addCommand(purgeCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('List every queue with its counts.')
    .option('--json', 'print the queues as JSON')
    .addHelpText('after', '\nExamples:\n  cqrs queues list\n  cqrs queues list --json')
    .action(async ({ json }: { json?: boolean }) => {
      const queues = await withOperations(context, everyQueue)
      if (json) return context.print(JSON.stringify(queues, null, 2))
      for (const line of layOut(COLUMNS, queues, context.width)) context.print(line)
    })
}

function oneCommand(
  context: CliContext,
  name: string,
  description: string,
  operation: 'ops::queue' | 'ops::queue-pause' | 'ops::queue-resume',
): Command {
  return new Command(name)
    .description(description)
    .argument('<queue>', 'the name of the queue')
    .option('--json', 'print the queue as JSON')
    .addHelpText('after', `\nExample:\n  cqrs queues ${name} inventory-list`)
    .action(async (queue: string, { json }: { json?: boolean }) => {
      const found = await withOperations(context, (call) => call(operation, { queue }))
      if (json) return context.print(JSON.stringify(found, null, 2))
      for (const line of layOut(COLUMNS, [found], context.width)) context.print(line)
      if (name !== 'show') return
      context.print(`\nSettings: ${JSON.stringify(found.settings)}`)
      if (found.missing.length > 0)
        context.print(`Waits for functions that no worker has: ${found.missing.join(', ')}`)
    })
}

function purgeCommand(context: CliContext): Command {
  return new Command('purge')
    .description('Delete all messages that wait in a queue; its dead letters stay.')
    .argument('<queue>', 'the name of the queue')
    .requiredOption('--confirm <queue>', 'the name of the queue again')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Projections lose nothing: they go on from the log. What other workers have put into the queue is lost.

Example:
  cqrs queues purge default --confirm default`,
    )
    .action(async (queue: string, { confirm, json }: { confirm: string; json?: boolean }) => {
      const result = await withOperations(context, (call) => call('ops::queue-purge', { queue, confirm }))
      context.print(
        json
          ? JSON.stringify(result, null, 2)
          : `${count(result.purged)} ${result.purged === 1 ? 'message' : 'messages'} deleted.`,
      )
    })
}

async function everyQueue(call: CallOperation): Promise<QueueSummary[]> {
  const queues: QueueSummary[] = []
  for (let after = ''; ; ) {
    const page: QueuesPage = await call('ops::queues', { after, limit: 500 })
    queues.push(...page.queues)
    if (page.next === null) return queues
    after = page.next
  }
}

const COLUMNS: readonly Column<QueueSummary>[] = [
  { title: 'QUEUE', cell: ({ queue }) => oneLine(queue) },
  {
    title: 'STATE',
    cell: ({ paused, missing }) => (paused ? 'paused' : missing.length > 0 ? 'waiting' : 'open'),
  },
  { title: 'DEPTH', align: 'right', cell: ({ depth }) => count(depth) },
  { title: 'IN FLIGHT', align: 'right', cell: ({ inFlight }) => count(inFlight) },
  { title: 'RETRYING', align: 'right', cell: ({ retrying }) => count(retrying) },
  { title: 'DEAD LETTERS', align: 'right', cell: ({ deadLetters }) => count(deadLetters) },
]
