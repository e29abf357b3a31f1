import type { Client } from "pg";
import { loadMigration, type Migration } from "../../../engine/migrate/definition";
import { moveRows, takeBackRows, type Moved, type TakenBack } from "../../../engine/migrate";
import type { V6 } from "../../support/postgres";
import { withEngine, type Engine, type majors } from "../module/harness";
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
  major: 15 | 17,
  name: string,
  test: (data: Data) => Promise<void>,
  options: { profiles?: boolean } = {},
): Promise<void> {
  return withEngine(
    major as (typeof majors)[number],
    async (engine, db) => {
      await engine.applyReal(...modules);
      const migration = await loadMigration(name);
      const move = async (parameters: object = assumed): Promise<Counted> =>
        counted(await engine.write("DataMigration", name, (session) => moveRows(session, migration, parameters)));
      const back = (): Promise<TakenBack> => engine.write("DataMigration", name, (session) => takeBackRows(session));
      await test({ engine, db, client: await db.connect(), migration, move, back });
    },
    options,
  );
}
