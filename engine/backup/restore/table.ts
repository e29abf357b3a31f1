import { dirname, join, resolve } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Client, escapeIdentifier, escapeLiteral } from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { nearest } from "../../../spec";
import { fromPostgres, GuardianError } from "../../base/errors";
import { exists, first } from "../../base/sql";
import type { ConnectionSettings } from "../../connect";
import { textSettings } from "../../fingerprint/content";
import type { FoundBackup } from "../adopt";
import { readDumped } from "../compression";
import { removeFolder, startFolder } from "../folder";
import { dumpFolder, verifyBackup, type Manifest, type ManifestTable } from "../manifest";
import { findClients } from "../prove";
import { differs } from "../prove/differs";
import { plainName } from "../prove/digest";
import { sumOf, sumOfLines } from "../prove/lines";
import { readToc } from "../prove/toc";
import { tableDefinitions } from "./definition";
import { disentangle, keepToOwner } from "./disentangle";
import { lookAtTarget, onTarget, refuseTarget } from "./target";
import type { Left, RestoredTable, RestoreProgress, TableOptions } from "./types";

/** The comment of a schema of ours: who looks at it knows what it is, and the next table of the same backup goes there too. */
const mark = (backup: string): string =>
  `guardian-migration: restored from the backup ${backup}; drop it when it is not needed`;

/**
 * Restores one table into a schema of its own, in one transaction: what fails leaves nothing. Nothing else is touched, and
 * nothing that is there depends on it, nor it, where that can be, on what is there.
 * @param wanted its name, as psql takes it, or as the backup lists it
 * @throws GuardianError restore-refused, before anything was written; restore-failed or interrupted, with nothing left
 */
export async function restoreTable(
  backup: FoundBackup,
  wanted: string,
  to: ConnectionSettings,
  options: TableOptions,
): Promise<RestoredTable> {
  const began = performance.now();
  const seconds = (): number => Math.round((performance.now() - began) / 10) / 100;
  const say = (phase: RestoreProgress["phase"]): void => options.onProgress?.({ phase, seconds: seconds() });
  const { signal } = options;
  const table = findTable(backup.manifest, wanted);
  const target = await lookAtTarget(to, signal);
  if (!target.exists) {
    throw new GuardianError("database-missing", {
      what: `database ${to.fields.database} is not there: one table goes into one that is`,
      where: to.explain(),
      todo: "name the database that is to have it, or restore the whole backup, which makes one",
    });
  }
  refuseTarget(target, [backup.manifest.server, ...options.liveDatabases], { live: options.live, fills: false });
  const folder = await startFolder(dirname(resolve(backup.path)), "restore");
  const soFar: SoFar = {};
  try {
    say("hashing");
    const clients = await findClients(
      backup.manifest,
      { major: target.server.major, settings: to },
      { ...options, jobs: 1, folder: folder.path },
    );
    const dump = join(backup.path, dumpFolder);
    const toc = await readToc(clients.restorer, dump);
    const data = toc.entries.find(({ kind, oid }) => kind === "TABLE DATA" && oid === table.oid);
    const file = backup.manifest.files.find(({ path }) => plainName(path) === `${dumpFolder}/${data?.dumpId ?? 0}.dat`);
    if (!file) throw differs("listing", `it lacks the rows of ${table.schema}.${table.table}`, backup.path);
    await verifyBackup(backup.path, { sha: (path) => path === file.path || path === `${dumpFolder}/toc.dat` });
    const schema = `guardian_restored_${backup.name.split("-").at(-1) ?? ""}`;
    const made = await tableDefinitions(clients.restorer, dump, toc, table, schema);
    say("restoring");
    const name = `${escapeIdentifier(schema)}.${escapeIdentifier(table.table)}`;
    const session = { superuser: target.server.isSuperuser, bytea: backup.manifest.around?.bytea };
    const done = await onTarget(to, signal, async (client) => {
      const filled = await inOneTransaction(client, session, async () => {
        await makeSchema(client, schema, backup.name);
        await refuseTaken(client, schema, table, to);
        return fill(client, { backup, table, schema, file: join(backup.path, file.path), ...made, signal, say });
      });
      soFar.committing = name;
      await client.query("COMMIT");
      return filled;
    });
    return { where: to.toString(), table: nameOf(table), name, ...done, seconds: seconds() };
  } catch (err) {
    throw failure(err, signal, to, soFar);
  } finally {
    await removeFolder(folder);
  }
}

const nameOf = ({ schema, table }: ManifestTable): string => `${schema}.${table}`;

/** How far it came. */
interface SoFar {
  /** The table, whose COMMIT was sent. */
  committing?: string;
}

function failure(err: unknown, signal: AbortSignal, to: ConnectionSettings, { committing }: SoFar): unknown {
  const known = fromPostgres(err, to.toString());
  // What the server refuses is rolled back, unless it was ended itself (57P01 to 57P05).
  const refused = !signal.aborted && known.sqlstate !== undefined && !known.sqlstate.startsWith("57P");
  if (committing !== undefined && !refused) {
    return new GuardianError(signal.aborted ? "interrupted" : "restore-failed", {
      what: `the restore of a table ${signal.aborted ? "was stopped" : "lost its connection"} while it was committed: either all of it is there, or nothing`,
      where: to.toString(),
      todo: `see whether ${committing} is there; if not, run again to restore it`,
      ...(signal.aborted ? {} : { cause: err }),
    });
  }
  if (signal.aborted) {
    return new GuardianError("interrupted", {
      what: "the restore of a table was stopped; nothing of it is left",
      where: to.toString(),
      todo: "run again to restore it",
    });
  }
  if (!(known instanceof GuardianError) || known.code === "restore-refused") return known;
  return new GuardianError("restore-failed", {
    what: `the table was not restored, and nothing of it is left: ${known.what}`,
    where: known.where ?? to.toString(),
    todo: [...known.todo, "or restore the whole backup into a new database, and take the table from there"],
    ...(known.sqlstate === undefined ? {} : { sqlstate: known.sqlstate }),
    cause: err,
  });
}

/** `schema.table` as psql reads it: what is not quoted is in small letters (manual, 4.1.1). */
function identifiers(text: string): string[] | undefined {
  const parts = [...text.matchAll(/(?:^|\.)(?:"((?:[^"]|"")*)"|([^".]+))/g)];
  if (parts.map(([whole]) => whole).join("") !== text) return undefined;
  return parts.map(([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain.toLowerCase());
}

/** @throws GuardianError restore-refused naming the nearest */
function findTable({ tables }: Manifest, wanted: string): ManifestTable {
  const parts = identifiers(wanted);
  const [schema, name] = parts?.length === 2 ? parts : ["public", parts?.[0] ?? ""];
  const found =
    tables.find((one) => nameOf(one) === wanted) ??
    tables.find((one) => one.schema === schema && one.table === name && (parts?.length ?? 0) < 3);
  const refused = (what: string, todo: string): GuardianError =>
    new GuardianError("restore-refused", { what: `${what}; nothing was written`, where: `--table ${wanted}`, todo });
  if (!found) {
    const near = tables.length > 0 ? nearest(wanted, tables.map(nameOf)) : "none";
    throw refused("the backup has no rows of a table of that name", `the nearest one is --table ${near}`);
  }
  if (found.columns === undefined || found.extension !== undefined)
    throw refused(
      found.extension === undefined
        ? "the backup is of an older release"
        : `it belongs to the extension ${found.extension}`,
      "restore the whole backup into a new database, and take the table from there",
    );
  return found;
}

/** Leaves the transaction open. */
async function inOneTransaction<T>(
  client: Client,
  { superuser, bytea = "hex" }: { superuser: boolean; bytea: string | undefined },
  work: () => Promise<T>,
): Promise<T> {
  // Event triggers of the database are not for this; only a superuser may say so.
  const quiet = superuser ? "SET LOCAL session_replication_role = replica;" : "";
  await client.query(`BEGIN; SET LOCAL default_transaction_read_only = off; ${quiet} ${textSettings};
    SET LOCAL bytea_output = ${escapeLiteral(bytea)};
    SET LOCAL synchronize_seqscans = off; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s';
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL check_function_bodies = off`);
  return work();
}

async function makeSchema(client: Client, schema: string, backup: string): Promise<void> {
  const there = await first<{ mark: string | null }>(
    client,
    "SELECT pg_catalog.obj_description(oid, 'pg_namespace') AS mark FROM pg_catalog.pg_namespace WHERE nspname = $1",
    [schema],
  );
  if (there?.mark === mark(backup)) return;
  const name = escapeIdentifier(schema);
  if (there) {
    throw new GuardianError("restore-refused", {
      what: `schema ${schema} is there, and does not bear this product's mark: it is left alone; nothing was written`,
      where: schema,
      todo: `see whose it is, and rename or drop it: DROP SCHEMA ${name} CASCADE`,
    });
  }
  await client.query(`CREATE SCHEMA ${name}`);
  await client.query(`COMMENT ON SCHEMA ${name} IS ${escapeLiteral(mark(backup))}`);
}

async function refuseTaken(
  client: Client,
  schema: string,
  { table }: ManifestTable,
  to: ConnectionSettings,
): Promise<void> {
  const name = `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
  if (!(await exists(client, name))) return;
  throw new GuardianError("restore-refused", {
    what: `${name} is there already; nothing was written`,
    where: to.toString(),
    todo: `look at it, or drop it and restore again: DROP TABLE ${name}`,
  });
}

interface Filling {
  backup: FoundBackup;
  table: ManifestTable;
  schema: string;
  file: string;
  before: string[];
  after: string[];
  left: Left[];
  signal: AbortSignal;
  say: (phase: RestoreProgress["phase"]) => void;
}

async function fill(client: Client, filling: Filling): Promise<{ rows: number; left: Left[] }> {
  const { backup, table, schema, file, before, after, signal, say } = filling;
  const name = `${escapeIdentifier(schema)}.${escapeIdentifier(table.table)}`;
  const encoding = `ENCODING ${escapeLiteral(backup.manifest.around?.encoding ?? "UTF8")}`;
  const columns = table.columns ?? [];
  // Of a table without columns COPY takes no list.
  const copied = columns.length > 0 ? `${name} (${columns.map((one) => escapeIdentifier(one)).join(", ")})` : name;
  for (const text of before) await client.query(text);
  const rows = await copyIn(client, `COPY ${copied} FROM STDIN WITH (${encoding})`, file, signal);
  if (rows !== table.rows)
    throw differs("compare", `${nameOf(table)} has ${rows} rows in the dump, and had ${table.rows}`, file);
  for (const text of after) await client.query(text);
  say("comparing");
  const there = client.query(copyTo(`COPY ${copied} TO STDOUT WITH (${encoding})`));
  const is = await sumOf((take) => pipeline(there, take, { signal }));
  if (is !== (await sumOfLines(file, signal)))
    throw differs("compare", `what was restored of ${nameOf(table)} has other rows than the dump`, file);
  say("finishing");
  const found = await first<{ oid: number }>(client, "SELECT $1::pg_catalog.regclass::oid AS oid", [name]);
  const ties = await disentangle(client, found?.oid ?? 0);
  await keepToOwner(client, schema, table.table);
  return { rows, left: [...filling.left, ...ties] };
}

/** COPY's own end of a file, which is for psql and not for the server. */
const end = Buffer.from("\\.\n\n\n");

/** @returns how many rows the server took */
async function copyIn(client: Client, text: string, file: string, signal: AbortSignal): Promise<number> {
  const stream = client.query(copyFrom(text));
  await readDumped(file, (pieces) => pipeline(withoutEnd(pieces), stream as Writable, { signal }), signal);
  return stream.rowCount;
}

/** All but the last bytes, which must be the end. */
async function* withoutEnd(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let tail: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    const all = Buffer.concat([tail, piece]);
    const keep = Math.max(all.length - end.length, 0);
    // A copy: the reader may use the piece's memory again.
    if (keep > 0) yield Buffer.from(all.subarray(0, keep));
    tail = Buffer.from(all.subarray(keep));
  }
  if (!tail.equals(end)) throw new Error("a file of the dump does not end as pg_dump ends one");
}
