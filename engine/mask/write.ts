import { createWriteStream } from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { GuardianError } from "../base/errors";
import { sqlParser } from "../base/parsers";
import { readDumped } from "../backup/compression";
import { writeDurably } from "../backup/folder";
import { dumpFolder, hashFiles, type Manifest, manifestFile, rolesFile } from "../backup/manifest";
import { isData, plainName } from "../backup/prove/digest";
import type { Toc } from "../backup/prove/toc";
import { maskRows } from "./copy";
import type { Rules } from "./file";
import { masksOf, type TablePlan } from "./plan";
import { Masker } from "./values";

/** A backup, and what is to be done to it. */
interface Masking {
  readonly path: string;
  readonly manifest: Manifest;
  readonly toc: Toc;
  readonly plans: readonly TablePlan[];
  readonly rules: Rules;
}

/** How far it is. */
interface Reports {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { tables: number; of: number; rows: number }) => void;
}

/** A table of no rows, as pg_dump writes it. */
const noRows = "\\.\n\n\n";

/**
 * Writes the masked copy: what is no data as it is, each table's rows masked, large objects empty, roles without settings.
 * @returns its manifest, which is written last
 * @throws GuardianError backup-broken for rows that are not what the manifest says
 */
export async function writeMasked(masking: Masking, folder: string, reports: Reports): Promise<Manifest> {
  const { manifest, toc, plans } = masking;
  const { signal, onProgress } = reports;
  const [from, to] = [join(masking.path, dumpFolder), join(folder, dumpFolder)];
  await mkdir(folder, { mode: 0o700 });
  await mkdir(to, { mode: 0o700 });
  const data = toc.entries.filter(({ kind }) => kind === "TABLE DATA");
  const tables = new Map(data.map(({ oid, dumpId }) => [`${dumpId}.dat`, oid]));
  const planned = new Map(plans.map((plan) => [plan.table.oid, plan]));
  const masker = new Masker(Number.parseInt(manifest.startedAt, 10));
  const of = plans.filter(({ columns }) => columns).length;
  const written = new Map<number, number>();
  for (const name of (await readdir(from)).sort()) {
    signal.throwIfAborted();
    const plain = plainName(name);
    const oid = tables.get(plain);
    const plan = planned.get(oid);
    if (!isData(name)) await copyFile(join(from, name), join(to, name));
    else if (oid === undefined || !plan?.columns) {
      await writeFile(join(to, plain), oid === undefined ? "" : noRows, { mode: 0o600 });
    } else {
      written.set(oid, await maskFile(join(from, name), join(to, `${plain}.gz`), masking, plan, masker, signal));
      const rows = [...written.values()].reduce((sum, one) => sum + one, 0);
      onProgress?.({ tables: written.size, of, rows });
    }
  }
  await writeFile(join(folder, rolesFile), await rolesOf(masking.path), { mode: 0o600 });
  return describe(manifest, folder, written, signal);
}

/** @returns how many rows it has */
async function maskFile(
  from: string,
  to: string,
  { manifest, path, rules }: Masking,
  plan: TablePlan,
  masker: Masker,
  signal: AbortSignal,
): Promise<number> {
  const masks = masksOf(plan.columns ?? [], masker, rules);
  // Of an encoding in which a character may be several bytes, each byte is one, which is masked like any other.
  const encoding = manifest.around?.encoding === "UTF8" ? "utf8" : "latin1";
  const counted = { rows: 0 };
  const take = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    const masked = Readable.from(maskRows(pieces, masks, encoding, counted));
    await pipeline(masked, createGzip({ level: 1 }), createWriteStream(to, { mode: 0o600 }), { signal });
  };
  await readDumped(from, take, signal).catch((err: unknown) => {
    throw err instanceof RangeError ? broken(plan, `line ${err.message} is no row of it`, path) : err;
  });
  const { rows, extension } = plan.table;
  if (extension === undefined && counted.rows !== rows) throw broken(plan, `${counted.rows} rows, not ${rows}`, path);
  return counted.rows;
}

function broken({ table }: TablePlan, what: string, where: string): GuardianError {
  return new GuardianError("backup-broken", {
    what: `the backup is broken: ${table.schema}.${table.table}: ${what}`,
    where,
    todo: "keep it for inspection, and make a new backup",
  });
}

/** What is set for roles may be a secret, and is not taken over. */
const setting = /^Alter(RoleSet|DatabaseSet|System)Stmt$/;

/** @returns roles.sql without settings */
async function rolesOf(backup: string): Promise<string> {
  const text = (await readFile(join(backup, rolesFile), "utf8")).replace(/^\\(restrict|unrestrict|connect)\b.*$/gm, "");
  const bytes = Buffer.from(text);
  const { stmts = [] } = (await sqlParser().parse(text)) as {
    stmts?: { stmt: Record<string, unknown>; stmt_location?: number; stmt_len?: number }[];
  };
  const kept = stmts.filter(({ stmt }) => !Object.keys(stmt).some((kind) => setting.test(kind)));
  const textOf = ({ stmt_location: at = 0, stmt_len: length }: (typeof kept)[number]): string =>
    bytes.subarray(at, length ? at + length : bytes.length).toString();
  return kept.map((one) => `${textOf(one).trim()};\n`).join("");
}

async function describe(
  manifest: Manifest,
  folder: string,
  written: ReadonlyMap<number, number>,
  signal: AbortSignal,
): Promise<Manifest> {
  const { around } = manifest;
  const masked: Manifest = {
    ...manifest,
    tables: manifest.tables.map((table) => ({ ...table, rows: written.get(table.oid ?? 0) ?? 0 })),
    ...(around ? { around: { ...around, facts: { ...around.facts, setting: {} } } } : {}),
    files: await hashFiles(folder, signal),
  };
  await writeDurably(join(folder, manifestFile), `${JSON.stringify(masked, undefined, 2)}\n`);
  return masked;
}
