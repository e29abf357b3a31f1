import type { Client } from "pg";
import { loadMigration, type Migration } from "../../../engine/migrate/definition/migration";
import type { Moved, TakenBack } from "../../../engine/migrate";
import type { V6 } from "../../support/postgres";
import { withEngine, type Engine } from "../module/harness";
import { assumed, modules } from "./harness";

export type Counted = Pick<Moved, "source" | "written">;
export const counted = ({ source, written }: Moved): Counted => ({ source, written });

/** A data migration with the parameters of the tests. */
interface Data {
  engine: Engine;
  db: V6;
  client: Client;
  migration: Migration;
  move: (parameters?: object) => Promise<Counted>;
  back: () => Promise<TakenBack>;
}

/** The real modules with one of the two data migrations. */
export function withData(
  name: string,
  test: (data: Data) => Promise<void>,
  options: { profiles?: boolean } = {},
): Promise<void> {
  return withEngine(
    async (engine, db) => {
      const migration = await loadMigration(name);
      const move = async (parameters: object = assumed): Promise<Counted> =>
        counted(await engine.move(migration, parameters));
      const back = (): Promise<TakenBack> => engine.takeBack(name);
      await test({ engine, db, client: await db.connect(), migration, move, back });
    },
    { ...options, modules },
  );
}
