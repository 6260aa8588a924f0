import { Command } from 'commander'
import { CqrsError } from '../../kernel/errors.ts'
import type { ViewRequest } from '../generations-contract.ts'
import type { CliContext } from './context.ts'
import { withOperations } from './operations.ts'
import { printable } from './table.ts'
import { oneOf, scalar, wholeNumber } from './values.ts'

interface FindFlags {
  generation?: number
  by?: string
  equals?: string
  from?: string
  to?: string
  order?: 'ascending' | 'descending'
  limit: number
  cursor?: string
}

/** `cqrs view`. */
export function viewCommand(context: CliContext): Command {
  const command = (name: string, description: string) =>
    new Command(name)
      .description(description)
      .argument('<projection>', 'its name')
      .option('-g, --generation <number>', 'the one that serves if left out', wholeNumber(1, 1_000_000_000))
      .option('--json', 'print the answer as JSON: documents, generation, position')
  const ask = (request: ViewRequest, json: boolean | undefined) =>
    withOperations(context, async (call) => {
      const answer = await call('ops::view', request)
      if (request.key !== undefined && answer.items.length === 0) {
        const { generation, position } = answer
        throw new CqrsError(
          'CQRS_NOT_FOUND',
          `Generation ${generation} of ${request.projection} has no document ${printable(request.key)} at position ${position}.`,
        )
      }
      if (json) return context.print(JSON.stringify(answer, null, 2))
      for (const item of answer.items) context.print(JSON.stringify(item))
      context.warn(`generation ${answer.generation} at position ${answer.position}`)
      if (answer.next !== undefined) context.warn(`more with --cursor ${answer.next}`)
    })
  return new Command('view')
    .description('Read a generation of a view, e.g. one that was built to be inspected.')
    .addHelpText(
      'after',
      `
Documents are printed as JSON, one per line; the position of the view goes to standard error. With --json the whole answer is
one object. A document that is not there ends with 1.

Examples:
  cqrs view get inventory-list mug-1
  cqrs view find inventory-list --generation 3 --by stock --to 5`,
    )
    .addCommand(
      command('get', 'One document by its key.')
        .argument('<key>', 'of the document')
        .action(
          (projection: string, key: string, { json, ...flags }: { generation?: number; json?: boolean }) =>
            ask({ projection, key, ...flags }, json),
        ),
    )
    .addCommand(
      command('find', 'A page of documents, in the order of their keys or of an indexed field.')
        .option('--by <field>', 'an index of the projection')
        .option('--equals <value>', 'only documents whose field is this', scalar)
        .option('--from <value>', 'only documents whose field is at least this', scalar)
        .option('--to <value>', 'only documents whose field is at most this', scalar)
        .option('--order <order>', 'ascending or descending', oneOf(['ascending', 'descending']))
        .option('--limit <number>', 'documents on the page', wholeNumber(1, 1_000), 20)
        .option('--cursor <cursor>', 'go on behind a page')
        .action((projection: string, { json, ...flags }: FindFlags & { json?: boolean }) =>
          ask({ projection, ...flags }, json),
        ),
    )
}
