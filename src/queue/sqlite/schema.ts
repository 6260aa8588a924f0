import type { StoreSchema } from '../../sqlite/migrate.ts'

/** Bits of a message key that hold the seq. */
export const SEQ_BITS = 45

/** What a key is combined with to give the seq. */
export const SEQ_MASK = 2 ** SEQ_BITS - 1

/**
 * A message's key is its queue's number and its seq in one 64-bit integer: `(queue << 45) | seq`. So the messages of a
 * queue lie together in order without a separate index. There is room for 262,143 queues and 35 million million
 * messages in each.
 *
 * Failures and dead letters have tables of their own, so that a message that succeeds costs one inserted and one
 * deleted row.
 */
export const queueSchema: StoreSchema = {
  name: 'queue store',
  applicationId: 0x69697175,
  migrations: [
    `CREATE TABLE queues (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       name TEXT NOT NULL UNIQUE,
       definition TEXT NOT NULL,
       paused INTEGER NOT NULL DEFAULT 0,
       tail INTEGER NOT NULL DEFAULT 0,
       depth INTEGER NOT NULL DEFAULT 0 CHECK (depth >= 0),
       dead INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0)
     ) STRICT;
     CREATE TABLE messages (
       key INTEGER PRIMARY KEY,
       message_id TEXT NOT NULL,
       function_id TEXT NOT NULL,
       message_group TEXT,
       data TEXT NOT NULL
     ) STRICT;
     CREATE TABLE failures (
       key INTEGER PRIMARY KEY,
       attempts INTEGER NOT NULL,
       stops INTEGER NOT NULL,
       due_at INTEGER,
       history TEXT NOT NULL
     ) STRICT;
     CREATE TABLE dead_letters (
       key INTEGER PRIMARY KEY,
       message_id TEXT NOT NULL,
       function_id TEXT NOT NULL,
       message_group TEXT,
       data TEXT NOT NULL,
       attempts INTEGER NOT NULL,
       stops INTEGER NOT NULL,
       failed_at INTEGER NOT NULL,
       history TEXT NOT NULL
     ) STRICT;
     CREATE INDEX dead_letters_by_message ON dead_letters (message_id);
     CREATE TABLE receipts (
       batch INTEGER PRIMARY KEY,
       digests BLOB NOT NULL
     ) STRICT;`,
    `ALTER TABLE messages ADD COLUMN checksum INTEGER;
     ALTER TABLE dead_letters ADD COLUMN checksum INTEGER;
     UPDATE messages SET checksum = row_checksum(key & ${SEQ_MASK}, message_id, function_id, message_group, data);
     UPDATE dead_letters SET checksum = row_checksum(key & ${SEQ_MASK}, message_id, function_id, message_group, data);`,
    // When a message was accepted or redriven, in ms since 1970; NULL for messages stored before this migration.
    `ALTER TABLE messages ADD COLUMN accepted_at INTEGER;`,
    // W3C trace context of whoever enqueued a message.
    `ALTER TABLE messages ADD COLUMN traceparent TEXT;
     ALTER TABLE dead_letters ADD COLUMN traceparent TEXT;`,
    // A second index on the id: with it, an unknown id is recognised without reading all letters even if a page of one
    // index is damaged.
    `CREATE INDEX dead_letters_by_message_again ON dead_letters (message_id || '');`,
  ],
}
