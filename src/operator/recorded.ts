/**
 * What is recorded, and what `cqrs actions` can filter by: operations that change something, and the import of
 * events.
 */
export const RECORDED = [
  'ops::dlq-redrive',
  'ops::dlq-discard',
  'ops::queue-pause',
  'ops::queue-resume',
  'ops::queue-purge',
  'ops::rebuild',
  'ops::rebuild-cancel',
  'ops::rollback',
  'ops::prune',
  'ops::verify',
  'ops::pause',
  'ops::resume',
  'events import',
] as const
