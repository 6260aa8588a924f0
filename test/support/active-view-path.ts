import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { dataPaths, viewPath } from '../../src/config/paths.ts'

/** The file of the generation of a view that serves at the moment; the view is not split. */
export function activeViewPath(data: string, projection: string): string {
  const { control } = dataPaths(data)
  if (!existsSync(control)) return viewPath(data, projection)
  const db = new DatabaseSync(control, { readOnly: true, timeout: 5_000 })
  try {
    const active = db
      .prepare(`SELECT generation FROM generations WHERE projection = ? AND state = 'active'`)
      .get(projection)
    return viewPath(data, projection, { generation: Number(active?.generation ?? 1) })
  } finally {
    db.close()
  }
}
