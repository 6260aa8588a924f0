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
      .argument('<projection>', 'the name of the projection')
      .option(
        '-g, --generation <number>',
        'the number of the generation; by default the one that serves',
        wholeNumber(1, 1_000_000_000),
      )
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
    .description('Read the documents of a view, or of one of its generations.')
    .addHelpText(
      'after',
      `
Documents are printed as JSON, one per line; the position of the view goes to standard error. With --json the whole answer is
one object. Exit code 1: the document does not exist.

Examples:
  cqrs view get inventory-list mug-1
  cqrs view find inventory-list --generation 3 --by stock --to 5`,
    )
    .addCommand(
      command('get', 'Show one document by its key.')
        .argument('<key>', 'the key of the document')
        .action(
          (projection: string, key: string, { json, ...flags }: { generation?: number; json?: boolean }) =>
            ask({ projection, key, ...flags }, json),
        ),
    )
    .addCommand(
      command('find', 'Show a page of documents, in the order of their keys or of an indexed field.')
        .option('--by <field>', 'sort and filter by this indexed field; by the key if left out')
        .option('--equals <value>', 'only documents whose field has this value', scalar)
        .option('--from <value>', 'only documents whose field is at least this', scalar)
        .option('--to <value>', 'only documents whose field is at most this', scalar)
        .option('--order <order>', 'ascending or descending', oneOf(['ascending', 'descending']))
        .option('--limit <number>', 'documents per page', wholeNumber(1, 1_000), 20)
        .option('--cursor <cursor>', 'continue after a page, with the value that it printed')
        .action((projection: string, { json, ...flags }: FindFlags & { json?: boolean }) =>
          ask({ projection, ...flags }, json),
        ),
    )
}
