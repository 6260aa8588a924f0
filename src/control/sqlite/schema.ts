import type { StoreSchema } from '../../sqlite/migrate.ts'

/** Which generations there are, what was requested for them, and how far they are. */
export const controlSchema: StoreSchema = {
  name: 'control store',
  applicationId: 0x63717235,
  migrations: [
    `
    CREATE TABLE projections (
      name TEXT PRIMARY KEY,
      paused INTEGER NOT NULL DEFAULT 0,
      swaps INTEGER NOT NULL DEFAULT 0,
      outgoing INTEGER,
      next_generation INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE generations (
      projection TEXT NOT NULL REFERENCES projections (name),
      generation INTEGER NOT NULL,
      version INTEGER NOT NULL,
      partitions INTEGER NOT NULL,
      state TEXT NOT NULL,
      purpose TEXT NOT NULL,
      until INTEGER,
      require_parity INTEGER NOT NULL,
      forced INTEGER NOT NULL DEFAULT 0,
      requested_by TEXT NOT NULL,
      requested_at TEXT NOT NULL,
      changed_at TEXT NOT NULL,
      error TEXT,
      report TEXT,
      PRIMARY KEY (projection, generation)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX one_active ON generations (projection) WHERE state = 'active';
    CREATE UNIQUE INDEX one_previous ON generations (projection) WHERE state IN ('previous', 'returning');

    CREATE TABLE parts (
      projection TEXT NOT NULL,
      generation INTEGER NOT NULL,
      partition INTEGER NOT NULL,
      phase TEXT NOT NULL,
      position INTEGER NOT NULL,
      target INTEGER NOT NULL,
      events_per_second REAL NOT NULL,
      leading INTEGER NOT NULL,
      error TEXT,
      updated_at TEXT NOT NULL,
      PRIMARY KEY (projection, generation, partition)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE taken_over (
      projection TEXT NOT NULL,
      partition INTEGER NOT NULL,
      swap INTEGER NOT NULL,
      PRIMARY KEY (projection, partition)
    ) STRICT, WITHOUT ROWID;
    `,
    // The code that worked on each version of a projection last.
    `
    CREATE TABLE folds (
      projection TEXT NOT NULL,
      version INTEGER NOT NULL,
      fold TEXT NOT NULL,
      PRIMARY KEY (projection, version)
    ) STRICT, WITHOUT ROWID;
    `,
  ],
}
