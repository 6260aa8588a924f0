import type { StoreSchema } from '../../sqlite/migrate.ts'

/** The part `<position>:<n>` of a key `<reactor>:<position>:<n>`; the name of a reactor has no colon. */
const PLACE = `substr(idempotency_key, instr(idempotency_key, ':') + 1)`

/** The position of an effect's event. {@link viewSchema} has an index on it for dead effects. */
export const EFFECT_POSITION = `CAST(${PLACE} AS INTEGER)`

/** The number of an effect among those of its event. */
export const EFFECT_NUMBER = `CAST(substr(${PLACE}, instr(${PLACE}, ':') + 1) AS INTEGER)`

/** One generation of one view: its documents, its checkpoint, its parked events and its effects. */
export const viewSchema: StoreSchema = {
  name: 'view',
  applicationId: 0x63717232,
  migrations: [
    `
    CREATE TABLE checkpoint (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      projection TEXT NOT NULL,
      version INTEGER NOT NULL,
      position INTEGER NOT NULL,
      processed INTEGER NOT NULL,
      digest TEXT NOT NULL,
      revision INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE digest_marks (
      position INTEGER PRIMARY KEY,
      processed INTEGER NOT NULL,
      digest TEXT NOT NULL
    ) STRICT;

    CREATE TABLE documents (
      key TEXT PRIMARY KEY,
      document TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE parked (
      position INTEGER PRIMARY KEY,
      sequence TEXT NOT NULL,
      type TEXT NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('retrying', 'dead', 'waiting')),
      attempts INTEGER NOT NULL,
      due_at INTEGER NOT NULL,
      failures TEXT NOT NULL,
      parked_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX parked_by_sequence ON parked (sequence, position);
    CREATE INDEX parked_due ON parked (due_at) WHERE status = 'retrying';

    CREATE TABLE trial (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      from_position INTEGER NOT NULL,
      to_position INTEGER NOT NULL,
      ends INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE discarded (
      position INTEGER NOT NULL,
      event TEXT NOT NULL,
      discarded_by TEXT NOT NULL,
      reason TEXT NOT NULL,
      discarded_at TEXT NOT NULL
    ) STRICT;

    CREATE TABLE effects (
      id INTEGER PRIMARY KEY,
      idempotency_key TEXT NOT NULL UNIQUE,
      effect TEXT NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('pending', 'dead')),
      attempts INTEGER NOT NULL DEFAULT 0,
      error TEXT,
      failed_at TEXT
    ) STRICT;
    CREATE INDEX effects_by_status ON effects (status, id);
    `,
    `
    ALTER TABLE documents ADD COLUMN checksum INTEGER;
    UPDATE documents SET checksum = row_checksum(key, document);
    `,
    // Generations: what a generation that does not serve withholds, and which swap it took over at last.
    `
    ALTER TABLE checkpoint ADD COLUMN took_over INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE parked ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX discarded_by_position ON discarded (position);
    CREATE TABLE withheld (
      position INTEGER NOT NULL,
      idempotency_key TEXT NOT NULL,
      effect TEXT NOT NULL,
      PRIMARY KEY (position, idempotency_key)
    ) STRICT, WITHOUT ROWID;
    `,
    // An effect without a checksum, or with a wrong one, is not what was recorded.
    `
    ALTER TABLE effects ADD COLUMN checksum INTEGER;
    UPDATE effects SET checksum = row_checksum(idempotency_key, effect);
    ALTER TABLE withheld ADD COLUMN checksum INTEGER;
    UPDATE withheld SET checksum = row_checksum(idempotency_key, effect);
    `,
    // Indexes to count, list and page through what has failed without reading all of it.
    `
    CREATE INDEX parked_by_status ON parked (status);
    CREATE INDEX parked_letters ON parked (position) WHERE status <> 'waiting';
    CREATE INDEX effects_dead ON effects (${EFFECT_POSITION}) WHERE status <> 'pending';
    `,
  ],
}
