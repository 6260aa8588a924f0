import { z } from 'zod'
import { listActions } from './actions.ts'
import { auditProjection } from './audit.ts'
import { readEvents, showEvent } from './events.ts'
import { listProjections, readView, showProjection } from './generations.ts'
import { listGroups, listLetters, showLetter } from './letters/letters.ts'
import { discardLetters, isDryRun, redriveLetters } from './letters/letters-bulk.ts'
import type { Operation } from './operation.ts'
import { prune } from './prune.ts'
import { listQueues, pauseQueue, purgeQueue, resumeQueue, showQueue } from './queues.ts'
import {
  cancelRebuild,
  pauseProjection,
  resumeProjection,
  rollback,
  startRebuild,
  startVerify,
} from './rebuild.ts'
import { parseRequest } from './request.ts'
import { systemStatus } from './status.ts'
import type { System } from './system.ts'
import { listWorkers } from './workers.ts'

/** For an operation that takes no input; refuses input that has fields. */
function takingNothing(run: (system: System) => Promise<unknown>): Operation['run'] {
  return async (system, input) => {
    parseRequest(z.strictObject({}), input ?? {})
    return run(system)
  }
}

/** Everything that operators can do. */
export const OPERATIONS: readonly Operation[] = [
  {
    id: 'ops::status',
    http: 'GET /ops/status',
    scope: 'read',
    what: 'State, position and lag of every projection.',
    run: takingNothing(systemStatus),
  },
  {
    id: 'ops::audit',
    http: 'POST /ops/projections/:projection/audit',
    scope: 'read',
    what: 'Audits one stretch of a view: recomputes its digest from the log and compares.',
    run: auditProjection,
  },
  {
    id: 'ops::events',
    http: 'GET /ops/events',
    scope: 'read',
    what: 'Events of the log after a position, page by page.',
    run: readEvents,
  },
  {
    id: 'ops::event',
    http: 'GET /ops/events/:position',
    scope: 'read',
    what: 'One event, as it is stored.',
    run: showEvent,
  },
  {
    id: 'ops::dlq-list',
    http: 'GET /ops/letters',
    scope: 'read',
    what: 'Everything that failed: dead letters of queues, parked events, dead effects.',
    run: listLetters,
  },
  {
    id: 'ops::dlq-groups',
    http: 'GET /ops/letter-groups',
    scope: 'read',
    what: 'Everything that failed, grouped by what failed and how.',
    run: listGroups,
  },
  {
    id: 'ops::dlq-show',
    http: 'GET /ops/letters/:id',
    scope: 'read',
    what: 'One letter, with its content and its failed attempts.',
    run: showLetter,
  },
  {
    id: 'ops::dlq-redrive',
    http: 'POST /ops/letters/redrive',
    scope: 'change',
    isDryRun,
    what: 'Tries letters again, in their original order.',
    run: redriveLetters,
  },
  {
    id: 'ops::dlq-discard',
    http: 'POST /ops/letters/discard',
    scope: 'change',
    isDryRun,
    what: 'Gives up letters for good; needs a reason.',
    run: discardLetters,
  },
  {
    id: 'ops::workers',
    http: 'GET /ops/workers',
    scope: 'read',
    what: 'The worker processes: their roles, whether they are at work or standing by, and what they own.',
    run: takingNothing(listWorkers),
  },
  {
    id: 'ops::queues',
    http: 'GET /ops/queues',
    scope: 'read',
    what: 'Every queue with its counts and settings.',
    run: listQueues,
  },
  {
    id: 'ops::queue',
    http: 'GET /ops/queues/:queue',
    scope: 'read',
    what: 'One queue with its counts and settings.',
    run: showQueue,
  },
  {
    id: 'ops::queue-pause',
    http: 'POST /ops/queues/:queue/pause',
    scope: 'change',
    what: 'Stops the deliveries of a queue until it is resumed, also across restarts; it still accepts messages.',
    run: pauseQueue,
  },
  {
    id: 'ops::queue-resume',
    http: 'POST /ops/queues/:queue/resume',
    scope: 'change',
    what: 'Resumes the deliveries of a queue.',
    run: resumeQueue,
  },
  {
    id: 'ops::queue-purge',
    http: 'POST /ops/queues/:queue/purge',
    scope: 'change',
    what: 'Deletes all messages that wait in a queue; its name has to be repeated as confirmation.',
    run: purgeQueue,
  },
  {
    id: 'ops::projections',
    http: 'GET /ops/projections',
    scope: 'read',
    what: 'The generations of every view: which one serves, which are being built, and their size on disk.',
    run: takingNothing(listProjections),
  },
  {
    id: 'ops::projections-show',
    http: 'GET /ops/projections/:projection',
    scope: 'read',
    what: 'The generations of one view, with their progress and the results of comparisons.',
    run: showProjection,
  },
  {
    id: 'ops::rebuild',
    http: 'POST /ops/projections/:projection/rebuild',
    scope: 'change',
    what: 'Builds a new generation of a view while the present one serves, then swaps it in.',
    run: startRebuild,
  },
  {
    id: 'ops::rebuild-cancel',
    http: 'POST /ops/projections/:projection/cancel',
    scope: 'change',
    what: 'Cancels the builds of a view, and a rollback that is not done yet.',
    run: cancelRebuild,
  },
  {
    id: 'ops::rollback',
    http: 'POST /ops/projections/:projection/rollback',
    scope: 'change',
    what: 'Returns to the generation that served before.',
    run: rollback,
  },
  {
    id: 'ops::prune',
    http: 'POST /ops/prune',
    scope: 'change',
    what: 'Removes generations that neither serve nor are being built.',
    run: prune,
  },
  {
    id: 'ops::verify',
    http: 'POST /ops/projections/:projection/verify',
    scope: 'change',
    what: 'Folds a view again from the log and compares every document; the report is stored with the generation.',
    run: startVerify,
  },
  {
    id: 'ops::pause',
    http: 'POST /ops/projections/:projection/pause',
    scope: 'change',
    what: 'Stops applying events to a view and sending its effects, until it is resumed.',
    run: pauseProjection,
  },
  {
    id: 'ops::resume',
    http: 'POST /ops/projections/:projection/resume',
    scope: 'change',
    what: 'Resumes a paused projection.',
    run: resumeProjection,
  },
  {
    id: 'ops::view',
    http: 'GET /ops/projections/:projection/documents',
    scope: 'read',
    what: 'One document of a generation of a view, or a page of documents.',
    run: readView,
  },
  {
    id: 'ops::actions',
    http: 'GET /ops/actions',
    scope: 'read',
    what: 'What operators did, newest first.',
    run: listActions,
  },
]
