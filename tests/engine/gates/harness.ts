import type { Client } from "pg";
import { dump } from "../../../engine/backup";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { runCheck, type Check, type Outcome } from "../../../engine/gates/check";
import type { V6 } from "../../support/postgres";
import type { Dumps } from "../dumps";
import { quick, settingsOf, withAdmin, type Engine } from "../module/harness";
import { declared, line } from "./asked";

/** Works with a database as a plugin process has it. */
export async function asOneProcess<T>(db: V6, work: (host: Database) => Promise<T>): Promise<T> {
  const host = new Database(settingsOf(db.migrator), quick);
  try {
    return await work(host);
  } finally {
    await host.close();
  }
}

/**
 * What checks of the gate after the data stage say, one after the other as the gate asks them.
 * @param throttled whether they rest where others are at work; tests of what they say have no time to lose by that
 */
export async function ask(
  host: Database,
  names: readonly string[],
  maxDataLoss = 0.001,
  say: (text: string) => void = () => undefined,
  throttled = false,
): Promise<Outcome[]> {
  const by = { ...declared, throttled, limits: { ...declared.limits, maxDataLoss } };
  const all: readonly Check[] = gates.data;
  const outcomes: Outcome[] = [];
  for (const check of all.filter(({ name }) => names.includes(name)))
    outcomes.push(await runCheck(check, host, by, new Map(), { say }));
  return outcomes;
}

/** The same by a process of its own. */
export const asked = (db: V6, names: readonly string[], maxDataLoss?: number): Promise<Outcome[]> =>
  asOneProcess(db, (host) => ask(host, names, maxDataLoss));

/** What one check says, in one line. */
export async function said(db: V6, name: string, maxDataLoss?: number): Promise<string> {
  const [outcome] = await asked(db, [name], maxDataLoss);
  return outcome ? line(outcome) : "nothing";
}

/**
 * Takes a backup of the database, and has the ledger say that it is proven, as a proof has it said.
 * @param protects what it is taken for: modules and data migrations by name, each with its meaning
 * @returns its folder
 */
export async function provenBackup(
  engine: Engine,
  db: V6,
  place: Dumps,
  admin: Client,
  protects: Record<string, string> = {},
): Promise<string> {
  const ledgerId = await engine.open();
  const settings = settingsOf(db.migrator);
  const { path, manifest, manifestSha256 } = await dump(place.options(db, { settings, ledgerId }));
  const backup = {
    ...{ path, takenAt: manifest.startedAt, bytes: 1, rows: 1, tables: 1, protects, processed: 0 },
    ...{ verify: "restore", refuted: false, manifestSha256 },
  };
  const proof = {
    ...{ path, verdict: "proven", unproven: [], restoreSeconds: 1, seconds: 1, provenAt: manifest.finishedAt },
    ...{ accepted: {}, relied: true },
  };
  const urn = engine.urn("Backup", "backup");
  await admin.query(
    `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail, ended_at)
     SELECT $1, v.part, v.kind, l.id, (SELECT count(*) + 1 FROM guardian_migration.step WHERE urn = $1 AND part = v.part), 'done', 1, 1, v.detail, now()
     FROM guardian_migration.ledger l, (VALUES ('', 'Backup', $2::jsonb), ('proof', 'proof', $3::jsonb)) v (part, kind, detail)`,
    [urn, JSON.stringify(backup), JSON.stringify(proof)],
  );
  return path;
}

/** What a test has after a backup that is proven: its folder is the third. */
type BackedUp = (db: V6, admin: Client, path: string, engine: Engine) => Promise<void>;

/** A v6 with a backup that is proven. @param options `before`: what the superuser does before it */
export const withBackup = (place: Dumps, test: BackedUp, { users = 300, before = "" } = {}): Promise<void> =>
  withAdmin(
    async (engine, admin, db) => {
      if (before !== "") await admin.query(before);
      return test(db, admin, await provenBackup(engine, db, place, admin), engine);
    },
    { users },
  );

/** A row that somebody takes away and nobody has counted: as a page that is lost takes it. @returns its key */
export async function lose(admin: Client, table: string, rows = 1): Promise<string[]> {
  await admin.query("SET track_counts = off");
  await admin.query(`DROP TABLE IF EXISTS pg_temp.lost; CREATE TEMP TABLE lost AS SELECT * FROM ${table} WHERE false`);
  const gone = await admin.query<{ id: string }>(
    `WITH gone AS (DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} ORDER BY id LIMIT ${rows}) RETURNING *),
       kept AS (INSERT INTO pg_temp.lost SELECT * FROM gone) SELECT id FROM gone`,
  );
  await admin.query("SET track_counts = on");
  return gone.rows.map(({ id }) => id);
}

/** Has the server's statistics say what this session has done. */
export async function told(admin: Client): Promise<void> {
  await admin.query("SELECT pg_stat_force_next_flush()");
  await admin.query("SELECT 1");
}
