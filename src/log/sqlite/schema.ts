import type { StoreSchema } from '../../sqlite/migrate.ts'

/**
 * The log needs no index on (stream, version): each event holds the position of the one before it in its stream, and
 * the end of each stream is known. A stream is read by following that chain through the primary key. Versions stay
 * unique because an append checks the stream's end in its own transaction.
 *
 * `streams` may be tens of thousands of events behind, so that an append writes its event and nothing else. It has
 * every end up to the position in `streams_through`; the ends of later events are read from the events
 * (stream-ends.ts).
 *
 * `commands.running_ms` is the total time that the log had been in use when the key was stored; see
 * idempotency-keys.ts.
 */
export const eventLogSchema: StoreSchema = {
  name: 'event log',
  applicationId: 0x63717231,
  migrations: [
    `
    CREATE TABLE events (
      position INTEGER PRIMARY KEY,
      id TEXT NOT NULL,
      stream TEXT NOT NULL,
      version INTEGER NOT NULL,
      previous INTEGER NOT NULL,
      type TEXT NOT NULL,
      schema_version INTEGER NOT NULL,
      data TEXT NOT NULL,
      metadata TEXT NOT NULL,
      recorded_at INTEGER NOT NULL,
      checksum INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE streams (
      stream TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE commands (
      key TEXT PRIMARY KEY,
      fingerprint TEXT NOT NULL,
      stream TEXT NOT NULL,
      position INTEGER NOT NULL,
      version INTEGER NOT NULL,
      events INTEGER NOT NULL,
      recorded_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    `,
    // Keys stored before this step count as stored at this step.
    `
    ALTER TABLE streams ADD COLUMN checksum INTEGER;
    ALTER TABLE commands ADD COLUMN checksum INTEGER;
    UPDATE streams SET checksum = row_checksum(stream, version, position);
    UPDATE commands SET checksum = row_checksum(key, fingerprint, stream, position, version, events);
    ALTER TABLE commands ADD COLUMN running_ms INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX commands_by_age ON commands (running_ms);
    `,
    `
    CREATE TABLE streams_through (position INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
    INSERT INTO streams_through SELECT position, row_checksum(position)
      FROM (SELECT coalesce(max(position), 0) AS position FROM events);
    `,
  ],
}
