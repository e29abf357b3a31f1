import { join } from "node:path";
import type { Queryable } from "../../base/sql";
import { dumpFolder, type Manifest, type ManifestTable } from "../manifest";
import { listTables } from "../tables";
import { digestFile, isData, plainName, type Digest } from "./digest";
import { differs, listed } from "./differs";
import { sumOfLines } from "./lines";
import type { Toc } from "./toc";

const nameOf = ({ schema, table }: { schema: string; table: string }): string => `${schema}.${table}`;

const keyOf = ({ schema, table }: { schema: string; table: string }): string => `${schema}\0${table}`;

/** The file of each table's rows, by the oid of the table. */
const filesOf = ({ entries }: Toc): Map<number, string> =>
  new Map(entries.filter(({ kind }) => kind === "TABLE DATA").map(({ oid, dumpId }) => [oid, `${dumpId}.dat`]));

/** One side of the comparison. */
export interface Side {
  readonly toc: Toc;
  readonly folder: string;
  /** By plain name: `123.dat`. */
  readonly digests: ReadonlyMap<string, Digest>;
}

/**
 * Reads all data of a backup, and counts its rows against what was counted in the dump's own snapshot.
 * @throws GuardianError: of the hash for a file that cannot be read, of the comparison for rows that are missing
 */
export async function digestBackup(
  path: string,
  manifest: Manifest,
  toc: Toc,
  signal: AbortSignal,
): Promise<Map<string, Digest>> {
  const digests = new Map<string, Digest>();
  for (const { path: file } of manifest.files) {
    const name = file.slice(dumpFolder.length + 1);
    if (!file.startsWith(`${dumpFolder}/`) || !isData(name)) continue;
    const digest = await digestFile(join(path, file), signal).catch((err: unknown) => {
      signal.throwIfAborted();
      if (err instanceof Error && "code" in err && String(err.code).startsWith("Z_"))
        throw differs("hash", `${file} cannot be decompressed (${String(err.code)})`, path);
      throw err;
    });
    digests.set(plainName(name), digest);
  }
  const files = filesOf(toc);
  const wrong = manifest.tables.flatMap((table) => {
    const found = digests.get(files.get(table.oid ?? 0) ?? "")?.rows ?? 0;
    // Of an extension's table the dump holds the rows that are not the extension's own.
    return table.extension !== undefined || found === table.rows
      ? []
      : [`${nameOf(table)} has ${found} rows in the dump, and had ${table.rows}`];
  });
  if (wrong.length > 0) throw differs("compare", `counted in the dump's own snapshot, ${listed(wrong)}`, path);
  return digests;
}

/**
 * Compares what was dumped with what was restored, table by table and large object by large object.
 * @param left tables that were not restored, by oid
 * @throws GuardianError naming the tables
 */
export async function compareContent(
  manifest: Manifest,
  backup: Side,
  copy: Side,
  db: Queryable,
  options: { signal: AbortSignal; left: ReadonlySet<number> },
): Promise<void> {
  const where = backup.folder;
  const there = new Map((await listTables(db, [])).map((table) => [keyOf(table), table]));
  const [files, copied] = [filesOf(backup.toc), filesOf(copy.toc)];
  const missing: string[] = [];
  const other: string[] = [];
  for (const table of manifest.tables) {
    const name = nameOf(table);
    const file = files.get(table.oid ?? 0);
    if (file === undefined || options.left.has(table.oid ?? 0)) continue;
    const again = there.get(keyOf(table));
    const fileAgain = copied.get(again?.oid ?? 0);
    const [was, is] = [backup.digests.get(file), copy.digests.get(fileAgain ?? "")];
    if (!was || !is || !again || fileAgain === undefined) missing.push(name);
    else if (was.sha256 !== is.sha256) {
      const paths = [join(backup.folder, `${file}${suffixOf(manifest, file)}`), join(copy.folder, fileAgain)] as const;
      const order = table.columns && orderOf(table.columns, again.columns);
      const sums = [sumOfLines(paths[0], options.signal), sumOfLines(paths[1], options.signal, order)];
      if (new Set(await Promise.all(sums)).size > 1)
        other.push(`${name} (${was.rows} rows dumped, ${is.rows} restored)`);
    }
  }
  if (missing.length > 0) throw differs("compare", `the restored copy lacks ${listed(missing)}`, where);
  if (other.length > 0) throw differs("compare", `the restored copy has other rows in ${listed(other)}`, where);
  compareLargeObjects(backup, copy);
}

function compareLargeObjects(backup: Side, copy: Side): void {
  const large = ({ digests }: Side): Map<string, string> =>
    new Map([...digests].flatMap(([name, { sha256 }]) => (name.startsWith("blob_") ? [[name, sha256] as const] : [])));
  const [was, is] = [large(backup), large(copy)];
  const wrong = [...new Set([...was.keys(), ...is.keys()])].filter((name) => was.get(name) !== is.get(name));
  const oids = wrong.map((name) => name.replace(/\D/g, ""));
  if (oids.length > 0)
    throw differs("compare", `the restored copy has other large objects: ${listed(oids)}`, backup.folder);
}

/**
 * Where each column of a dump stands in the restored table's: a child table gets its parent's columns first, whenever these
 * were added.
 * @returns places in `is`, in the order of `was`; undefined where the order is the same
 */
function orderOf(was: readonly string[], is: readonly string[]): number[] | undefined {
  const order = was.map((column) => is.indexOf(column));
  return order.every((place, i) => place === i) && was.length === is.length ? undefined : order;
}

/** What tells the compression: `.gz`. */
function suffixOf({ files }: Manifest, plain: string): string {
  const found = files.find(({ path }) => plainName(path) === `${dumpFolder}/${plain}`);
  return found?.path.slice(dumpFolder.length + 1 + plain.length) ?? "";
}

/**
 * Sees that a dump has all that was counted, that it is of the database that the manifest names, and written by a client
 * that knew this server.
 * @throws GuardianError of the listing
 */
export function checkListing(manifest: Manifest, toc: Toc, path: string): void {
  const wrong = (what: string): never => {
    throw differs("listing", what, path);
  };
  const { server, pgDump, tables } = manifest;
  const major = (version: string): number => Number.parseInt(version, 10);
  if (toc.database !== server.database) wrong(`it is a dump of ${toc.database}, and should be of ${server.database}`);
  if (major(toc.clientVersion) < major(server.version))
    wrong(`pg_dump ${toc.clientVersion} wrote it, which is older than the server (${server.version})`);
  if (toc.clientVersion.split(" ")[0] !== pgDump.version)
    wrong(`pg_dump ${toc.clientVersion} wrote it, and should have been ${pgDump.version}`);
  const files = filesOf(toc);
  const kept = new Set(manifest.files.map((file) => plainName(file.path)));
  const there = (table: ManifestTable): boolean => kept.has(`${dumpFolder}/${files.get(table.oid ?? 0) ?? ""}`);
  const absent = tables.filter((table) => table.extension === undefined && !there(table)).map(nameOf);
  if (absent.length > 0) wrong(`it lacks the rows of ${listed(absent)}`);
  const counted = new Set(tables.map(({ oid }) => oid));
  const extra = toc.entries.filter(({ kind, oid }) => kind === "TABLE DATA" && !counted.has(oid));
  if (extra.length > 0) wrong(`it has rows of tables that were not counted: ${listed(extra.map(({ rest }) => rest))}`);
  const large = manifest.files.filter(({ path: file }) => file.startsWith(`${dumpFolder}/blob_`)).length;
  if (large !== manifest.largeObjects)
    wrong(`it has ${large} large objects, and ${manifest.largeObjects} were counted`);
}
