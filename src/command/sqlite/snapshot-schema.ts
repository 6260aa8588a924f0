import type { StoreSchema } from '../../sqlite/migrate.ts'

/** The newest snapshot of each stream. All of it can be built from the log again. */
export const snapshotSchema: StoreSchema = {
  name: 'snapshots',
  applicationId: 0x63717236,
  migrations: [
    `
    CREATE TABLE snapshots (
      stream TEXT PRIMARY KEY,
      fingerprint TEXT NOT NULL,
      version INTEGER NOT NULL,
      position INTEGER NOT NULL,
      event_id TEXT NOT NULL,
      state TEXT NOT NULL,
      checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    `,
  ],
}
