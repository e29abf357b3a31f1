import { fromPostgres, isPostgres } from "../../../base/errors";
import { readStatistics, type Moment } from "../../../backup/snapshot/moment";
import type { ManifestTable } from "../../../backup/manifest";
import { connectReader } from "../../../connect";
import type { Database } from "../../../database";
import { readLedger } from "../../../ledger/identity";
import { ownTransactions } from "../../../ledger/transactions";
import type { Pace } from "../../../migrate/workers/pace";
import { isPassing, type Finding, type Site } from "../../check";
import { Counted } from "../../faults";
import { findProven, isFinding, type ProvenBackup } from "../proven";
import { readBlocks } from "./blocks";
import type { Scanned } from "./compare";
import { openPace } from "./pace";
import { Readings } from "./readings";
import { compareRows, type Rows } from "./rows";
import { deletedBetween, patiently, untold, type Deleted } from "./statistics";
import { describeTable, shownTable, tablesNow, tablesOfV6, type Table } from "./table";

/** What the pass found of one table, or partition. */
export interface Passed {
  /** For people. */
  readonly shown: string;
  /** Rows that the backup has; nothing where it has no such table. */
  readonly before?: number;
  /** Rows that there are; nothing where there is no such table, or it could not be read to its end. */
  readonly now?: Scanned;
  /** Why it could not be read to its end, if so. */
  readonly unread?: string;
  /** What became of the backup's rows; a text where that could not be told, and why. Nothing where it has no such table. */
  readonly rows?: Rows | string;
  /** Rows that were deleted since the backup, by the server's statistics; a text where that cannot be told, and why. */
  readonly deleted: number | string;
  /** Of `unread`, `rows` and `deleted` those that could not be told for a reason that passes by itself. */
  readonly passing: readonly Told[];
  readonly unlogged: boolean;
}

type Told = "unread" | "rows" | "deleted";

/** A table, before it is known what was deleted of it. */
type Undeleted = Omit<Passed, "deleted">;

/** What one look at all of v6's tables has shown. */
export interface Pass {
  readonly tables: readonly Passed[];
  /** Why there is nothing to compare with. */
  readonly lacking?: Finding;
  /** When the backup was taken: places are those of its rows. */
  readonly takenAt?: string;
  /** What the backup does not show. */
  readonly gap?: string;
  /** Transaction ids have begun anew in this cluster: an old row may bear the id of a new transaction. */
  readonly wrapped: boolean;
}

/** At most so long it is waited for the server's statistics. */
const statisticsMs = 15_000;
/** A session that is idle tells within this time what is left to tell of its last second. */
const tellingMs = 2000;

const passes = new WeakMap<Database, { askedBy: Set<string>; pass: Promise<Pass> }>();

/**
 * The one pass over v6's tables, which several checks judge. Whoever asks first makes it; who asks a second time has another.
 * @param check the name of the check that asks
 */
export function passOf(site: Site, check: string): Promise<Pass> {
  const known = passes.get(site.host);
  if (known && !known.askedBy.has(check)) {
    known.askedBy.add(check);
    return known.pass;
  }
  const pass = makePass(site);
  // One that failed is the other checks' too: it may have taken hours, and would fail them the same way.
  passes.set(site.host, { askedBy: new Set([check]), pass });
  return pass;
}

/** @returns says how far the pass is and why it goes slower, if it does; without a text, only what has become of that */
export function withReason(pace: Pick<Pace, "reason">, say: Site["say"]): (text?: string) => void {
  let [last, told] = ["", ""];
  return (text = last) => {
    last = text;
    const whole = (pace.reason ?? "") === "" ? text : `${text} (slower: ${pace.reason})`;
    if (whole !== told) say(whole);
    told = whole;
  };
}

/** A table of the backup, of the database, or both. */
interface Both {
  readonly name: { schema: string; table: string };
  readonly was?: ManifestTable;
  readonly table?: Table;
}

async function makePass(site: Site): Promise<Pass> {
  const { db, host, signal, say } = site;
  const found = await findProven(db, "rows");
  const proven = isFinding(found) ? undefined : found;
  const lacking = isFinding(found) ? found : undefined;
  if (lacking && !(await readLedger(db))) return { tables: [], lacking, wrapped: false };
  const ours = await ownTransactions(db);
  const { patience } = host.parameters;
  const reader = await connectReader(host.settings, { detail: "validation", signal });
  try {
    const plain = new Readings(
      reader,
      { speed: 1, reason: undefined, rest: nothing, close: nothing },
      signal,
      patience,
    );
    const all = await plain.turn(async (asked) => {
      const was = proven ? tablesOfV6(proven.manifest.tables, proven.moment) : [];
      const names = [...was, ...(await tablesNow(asked)).filter((now) => !was.some((one) => same(one, now)))];
      const list: Both[] = [];
      for (const { schema, table } of names) {
        const before = was.find((one) => same(one, { schema, table }));
        const now = await describeTable(asked, before ?? { schema, table, rows: 0 });
        list.push({ name: { schema, table }, ...(before ? { was: before } : {}), ...(now ? { table: now } : {}) });
      }
      return list;
    });
    const pace = await openPace(site, reader, largestOf(all));
    try {
      const tell = withReason(pace, say);
      const readings = new Readings(reader, pace, signal, patience, () => tell());
      const tables: Undeleted[] = [];
      for (const one of all) tables.push(await passTable(readings, proven, one, ours, tell));
      const next = await plain.turn((asked) => asked.query<{ wrapped: boolean }>(wrappedSql));
      const deleted = await deletedOf(site, plain, proven?.moment, all, tables);
      return {
        tables: tables.map((table, i) => {
          const { told, passing } = deleted(all[i]?.table?.oid ?? "0");
          return { ...table, deleted: told, passing: [...table.passing, ...(passing ? (["deleted"] as const) : [])] };
        }),
        ...(proven ? { takenAt: proven.takenAt } : {}),
        ...(lacking ? { lacking } : {}),
        ...(proven?.gap === undefined ? {} : { gap: proven.gap }),
        wrapped: next.rows[0]?.wrapped ?? false,
      };
    } finally {
      await pace.close();
    }
  } finally {
    await reader.close();
  }
}

const wrappedSql =
  "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric >= 4294967296 AS wrapped";

const nothing = (): Promise<void> => Promise.resolve();

const same = (a: { schema: string; table: string }, b: { schema: string; table: string }): boolean =>
  a.schema === b.schema && a.table === b.table;

function largestOf(all: readonly Both[]): { table: Table | undefined; rows: number } {
  const [first] = [...all].sort((a, b) => (b.was?.rows ?? 0) - (a.was?.rows ?? 0));
  return { table: first?.table, rows: all.reduce((sum, { was }) => sum + (was?.rows ?? 0), 0) };
}

async function passTable(
  readings: Readings,
  proven: ProvenBackup | undefined,
  { name, was, table }: Both,
  ours: readonly string[],
  say: Site["say"],
): Promise<Undeleted> {
  const shown = shownTable(name);
  const before = was ? { before: was.rows } : {};
  if (!table) return { shown, ...before, ...(was ? { rows: gone(was) } : {}), passing: [], unlogged: false };
  const passing: Told[] = [];
  const failed = (what: Told) => (err: unknown) => {
    if (isPassing(err)) passing.push(what);
  };
  const rows = proven && was ? await rowsOf(readings, proven, { table, was }, say, failed("rows")) : undefined;
  say(`${shown}: reading who wrote its rows`);
  const told = { shown, ...before, ...(rows === undefined ? {} : { rows }), passing, unlogged: table.unlogged };
  try {
    return { ...told, now: await readBlocks(readings, table, ours) };
  } catch (err) {
    if (readings.signal.aborted || !isPostgres(err)) throw err;
    failed("unread")(err);
    return { ...told, unread: fromPostgres(err, shown).message };
  }
}

/** Nobody deletes rows by dropping their table. */
const gone = (was: ManifestTable): Rows => ({
  missing: was.rows,
  missingKeys: ["(the table is gone)"],
  missingAt: new Counted().add("the table"),
  written: 0,
  changed: 0,
  changedRows: [],
  changedAt: new Counted(),
});

async function rowsOf(
  readings: Readings,
  proven: ProvenBackup,
  pair: { table: Table; was: ManifestTable },
  say: Site["say"],
  failed: (err: unknown) => void,
): Promise<Rows | string> {
  const { table, was } = pair;
  const unproven = proven.unproven.get(table.name);
  if (unproven !== undefined) return `the backup's rows of it are not proven: ${unproven}`;
  if (was.file === undefined) return "the backup has no file of its rows";
  if (table.key.length === 0) return "it has no primary key, nor another unique index without NULLs, to know a row by";
  const encoding = proven.manifest.around?.encoding;
  if (encoding !== "UTF8") return `the database's encoding is ${encoding ?? "unknown"}: only rows in UTF8 are compared`;
  try {
    return await compareRows(readings, proven, pair, (done) =>
      say(`${table.shown}: ${done} of ${was.rows} rows compared`),
    );
  } catch (err) {
    if (readings.signal.aborted || !(isPostgres(err) || err instanceof RangeError)) throw err;
    failed(err);
    return err instanceof RangeError
      ? `the backup's file of it has ${err.message}`
      : fromPostgres(err, table.shown).message;
  }
}

/** Reads the server's statistics, once more and again where they do not tell yet of what is missing. */
async function deletedOf(
  { host, signal }: Pick<Site, "host" | "signal">,
  readings: Readings,
  moment: Moment | undefined,
  all: readonly Both[],
  tables: readonly Undeleted[],
): Promise<(oid: string) => { told: number | string; passing: boolean }> {
  const lasting = (deleted: Deleted) => (oid: string) => ({ told: deleted(oid), passing: false });
  if (!moment) return lasting(() => "there is no backup to count from");
  const was = moment.statistics;
  const oidOf = (i: number): string => all[i]?.table?.oid ?? "0";
  const isTold = ({ rows }: Undeleted, n: number | string): boolean =>
    rows === undefined || typeof rows === "string" || typeof n === "string" || rows.missing <= n;
  const told = (deleted: Deleted): boolean => tables.every((table, i) => isTold(table, deleted(oidOf(i))));
  const read = (): ReturnType<typeof readStatistics> => readings.turn(readStatistics);
  const patience = Math.min(host.parameters.patience, statisticsMs);
  const waited = deletedBetween(was, await patiently(read, (now) => told(deletedBetween(was, now)), patience, signal));
  if (told(waited)) return lasting(waited);
  // Asked before the last reading: who is idle by then has told all.
  const why = await readings.turn((db) => untold(db, Math.max(0, patience - tellingMs)));
  const deleted = deletedBetween(was, await read());
  if (why === undefined) return lasting(deleted);
  // Nobody deletes rows by dropping their table.
  const short = new Set(
    all.flatMap(({ table }, i) => {
      const passed = tables[i];
      return table && passed && !isTold(passed, deleted(table.oid)) ? [table.oid] : [];
    }),
  );
  return (oid) => (short.has(oid) ? { told: why, passing: true } : lasting(deleted)(oid));
}

/** @returns the verdict of a check that has nothing to judge: tables that are there now are compared with nothing */
export function nothingToJudge({ lacking, tables }: Pass): Finding | undefined {
  if (lacking) return lacking;
  if (tables.some(({ before }) => before !== undefined)) return undefined;
  const none = tables.length === 0 ? "neither the backup nor the database has" : "the backup does not have";
  return { verdict: "failed", evidence: [`${none} any of v6's tables`] };
}
