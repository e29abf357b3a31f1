import { escapeIdentifier } from "pg";
import { isRowError } from "../../base/errors";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import type { FencedWriter } from "../../database";
import type { Waiting } from "../../ledger/archived";
import { addRejects, changedValue } from "../../ledger/rejects";
import { readAs } from "./casts";
import { halving, namedRows, type Named } from "./refused";

/*
 * A column that has another type now may take a value and change it: numeric(10,1) rounds, timestamptz(0) too, varchar(3) cuts
 * spaces, integer rounds a numeric. A row with such a value stays in the archive, noted by key, as one that is refused.
 */

/** A column whose type does not take every value that the archive may hold of it. */
interface Narrower {
  name: string;
  /** SQL on alias `m`: whether the value would be another one. */
  changes: string;
}

/** Pages of the archived table that one look takes at first, and rows among which one at fault is looked for. */
const [firstPages, suspects] = [500, 256];
/** How long one look should take, in milliseconds. */
const lookTarget = 400;

/**
 * Notes the rows of an archived table whose values would be changed by the types that their columns have now. To be called
 * before any of them is moved. It reads the archive only, in transactions of their own, and where no type differs nothing.
 * @param deadline Unix time in milliseconds; after it what is left is not looked at, and the caller says so
 * @returns how many rows were not noted before
 */
export async function noteChanged(fenced: FencedWriter, waiting: Waiting, deadline: number): Promise<number> {
  const { signal, onProgress } = fenced.options;
  const { columns, pages } = await fenced.transaction((db) => readNarrower(db, waiting));
  if (columns.length === 0) return 0;
  let [noted, size] = [0, firstPages];
  for (let from = 0; from < pages;) {
    signal.throwIfAborted();
    const began = Date.now();
    if (began > deadline) break;
    const to = from + size;
    noted += await look(
      fenced,
      waiting,
      columns,
      `m.ctid >= '(${from},0)'::tid AND m.ctid < '(${to},0)'::tid`,
      deadline,
    );
    onProgress({ phase: "archived values", subject: waiting.original, done: Math.min(to, pages), total: pages });
    from = to;
    size = Math.max(10, Math.min(50_000, Math.round((size * lookTarget) / Math.max(Date.now() - began, 1))));
  }
  return noted;
}

/** A value that cannot be read as the new type at all ends the statement: its row is found, and noted as refused. */
async function look(
  fenced: FencedWriter,
  waiting: Waiting,
  columns: readonly Narrower[],
  where: string,
  deadline: number,
): Promise<number> {
  try {
    return await inRows(fenced, waiting, (db, of) => note(db, of, columns, where));
  } catch (err) {
    if (!isRowError(err)) throw err;
  }
  const ctids = await inRows(fenced, waiting, async (db, { archived }) =>
    (await rows<{ at: string }>(db, `SELECT m.ctid::text AS at FROM ${archived} m WHERE ${where}`)).map(({ at }) => at),
  );
  let noted = 0;
  for (let i = 0; i < ctids.length; i += suspects) {
    fenced.options.signal.throwIfAborted();
    if (Date.now() > deadline) break;
    noted += await inRows(fenced, waiting, async (db, of) => {
      let changed = 0;
      const refused = await halving(db, of, ctids.slice(i, i + suspects), async (some) => {
        const found = await note(db, of, columns, "m.ctid = ANY ($4::tid[])", [some]);
        return () => void (changed += found);
      });
      return refused + changed;
    });
  }
  return noted;
}

function inRows<T>(fenced: FencedWriter, waiting: Waiting, work: (db: Queryable, of: Named) => Promise<T>): Promise<T> {
  return fenced.transaction(async (db) => {
    await db.query("SET LOCAL row_security = off");
    return work(db, await namedRows(db, waiting));
  });
}

async function note(
  db: Queryable,
  of: Named,
  columns: readonly Narrower[],
  where: string,
  values: readonly unknown[] = [],
): Promise<number> {
  let noted = 0;
  for (const { name, changes } of columns) {
    const keys = `SELECT ${of.key("m")} FROM ${of.archived} m WHERE ${where} AND ${changes}`;
    noted += await addRejects(db, { urn: of.urn, sqlstate: changedValue, object: name }, keys, values);
  }
  return noted;
}

async function readNarrower(db: Queryable, waiting: Waiting): Promise<{ columns: Narrower[]; pages: number }> {
  const archived = quoteName(waiting.archivedAs);
  const found = await rows<{ name: string; was: string; now: string; ordered: boolean }>(
    db,
    `SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS was,
            pg_catalog.format_type(l.atttypid, l.atttypmod) AS now,
            coalesce(e.typcategory, y.typcategory) = ANY ('{B,D,N,R,T}') AS ordered
     FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     JOIN pg_catalog.pg_type y ON y.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.typarray = y.oid
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = ''
       AND (l.atttypid <> a.atttypid OR l.atttypmod NOT IN (-1, a.atttypmod)) ORDER BY l.attnum`,
    [quoteName(waiting.original), archived],
  );
  const columns: Narrower[] = [];
  for (const { name, was, now, ordered } of found) {
    const value = `m.${escapeIdentifier(name)}`;
    const back = await readAs(db, await readAs(db, value, was, now), now, was);
    // 1.5 is 1.50 though it is written otherwise. What is no number and no time has changed if its text has: some types
    // have no equality (json), others call equal what looks different to a reader (jsonb's do not, citext's do).
    const text = (sql: string): string => (ordered ? sql : `(${sql})::text COLLATE "C"`);
    columns.push({ name, changes: `${text(back)} IS DISTINCT FROM ${text(value)}` });
  }
  const size = await first<{ pages: number }>(
    db,
    `SELECT (pg_catalog.pg_relation_size($1::regclass) / pg_catalog.current_setting('block_size')::int)::float8 AS pages`,
    [archived],
  );
  return { columns, pages: size?.pages ?? 0 };
}
