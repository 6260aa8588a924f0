import { dataPaths } from '../../config/paths.ts'
import type { ControlStore } from '../../control/contract.ts'
import { openSqliteControl } from '../../control/sqlite/control-store.ts'
import { ViewReaders } from '../../generations/view-readers.ts'
import type { App } from '../../kernel/app.ts'
import { openSqliteViewReader } from '../../projection/sqlite/view-reader.ts'
import { adoptViews } from './adopt.ts'
import { placePath } from './view-storage.ts'

/** Opens the views of a data folder for reading, and the store that says which generation of each is active. */
export async function openReaders(
  app: App,
  data: string,
): Promise<{ readers: ViewReaders; control: ControlStore }> {
  const control = openSqliteControl({ path: dataPaths(data).control })
  await adoptViews(app, data, control)
  const readers = new ViewReaders({
    app,
    control,
    open: (place) => openSqliteViewReader(placePath(data, place), place.projection, place.version),
  })
  return { readers, control }
}
