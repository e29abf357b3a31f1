import type { Client } from "pg";
import type { EngineParameters } from "../../../engine/parameters";
import { loadMigration, type Migration } from "../../../engine/migrate/definition/migration";
import type { MoveOptions, Moved, TakenBack } from "../../../engine/migrate";
import { bind } from "../../../engine/migrate/definition/range";
import type { V6 } from "../../support/postgres";
import { refusalOf, withEngine, type Engine } from "../module/harness";

export const modules = ["000_audit_log", "004_enhanced_consent", "005_user_preferences"];
export const assumed = { mode: "assumed", legalBasis: "consent", statement: "terms of 2023" };

/** A data migration on a v6 of its own. */
export interface Online {
  engine: Engine;
  db: V6;
  client: Client;
  admin: Client;
  migration: Migration;
  move: (options?: MoveOptions, over?: { signal?: AbortSignal }) => Promise<Moved>;
  back: (over?: { signal?: AbortSignal }) => Promise<TakenBack>;
  /** Rows in which source and target differ now, on either side; the migration's own columns only. */
  differing: () => Promise<number>;
  /** Triggers and functions of the migration that are in the database. */
  traces: () => Promise<number>;
}

/** The real modules with one of the two data migrations, or one of a test's own. */
export function withOnline(
  which: string | Migration,
  users: number,
  test: (online: Online) => Promise<void>,
  parameters: Partial<EngineParameters> = {},
): Promise<void> {
  return withEngine(
    async (engine, db) => {
      const migration = typeof which === "string" ? await loadMigration(which) : which;
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      await test({
        ...{ engine, db, client, admin, migration },
        move: (options, over) => engine.move(migration, assumed, options, over),
        back: (over) => engine.takeBack(migration.name, over),
        differing: async () => {
          const { rows } = await admin.query<{ count: number }>(differingSql(migration, constants));
          return rows[0]?.count ?? -1;
        },
        traces: async () => {
          const { rows } = await admin.query<{ n: number }>(
            `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'guardian_follow_%')::int
                  + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'follow_%')::int
                  + (SELECT count(*) FROM guardian_migration.change)::int AS n`,
          );
          return rows[0]?.n ?? -1;
        },
      });
    },
    // Longer than a busy machine's transactions last, and far below deadlock_timeout: a missed try costs 99 times as much.
    { users, modules, parameters: { lockTimeout: 150, ...parameters } },
  );
}

/** Moves all rows and is stopped right before the comparison: the triggers stay, and what v6 does is the next run's. */
export async function stopped(online: Online, options: MoveOptions = {}): Promise<void> {
  const stop = new AbortController();
  online.engine.onProgress = ({ phase }) => {
    if (phase === "prove") stop.abort();
  };
  await refusalOf(online.move(options, { signal: stop.signal }));
  online.engine.onProgress = () => undefined;
}

/** The source's parameters as the running migration has them, as SQL. */
export const constants = `(SELECT '${JSON.stringify(assumed)}'::jsonb || (detail -> 'constants') FROM guardian_migration.step
  WHERE kind = 'DataMigration' ORDER BY id DESC LIMIT 1)`;

/** How many rows differ between source and target, as a SELECT. */
export function differingSql(it: Migration, parameters: string): string {
  const columns = it.columns.join(", ");
  const { sql = "", leftOut } = it.sources[0] ?? {};
  const wanted = leftOut === undefined ? "" : `WHERE s.${leftOut} IS NULL`;
  const source = `SELECT ${columns} FROM (${bind(sql, { kind: "all" }).replaceAll("$1::jsonb", parameters)}) s ${wanted}`;
  const target = `SELECT ${columns} FROM ${it.target}`;
  return `SELECT count(*)::int FROM ((${source} EXCEPT ALL ${target}) UNION ALL (${target} EXCEPT ALL ${source})) d`;
}
