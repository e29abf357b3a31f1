import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { GuardianError } from "../base/errors";
import type { Members } from "./members";
import type { Moment } from "./snapshot/moment";
import type { Reach } from "./reach";

export const manifestFile = "manifest.json";
/** The folder inside a backup that pg_dump wrote: what pg_restore is given. */
export const dumpFolder = "dump";
/** The file beside the dump that makes the roles, without passwords: psql reads it, and the proof. */
export const rolesFile = "roles.sql";
/** What restoring it has shown, written after it (keep/proof-file.ts): of no manifest, since that comes first. */
export const proofFile = "proof.json";
/** The same while it is written. */
export const halfProofFile = "proof.json.part";

/** One file of the backup; the path counts from the backup's folder, with "/". */
export interface ManifestFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface ManifestTable {
  /** In the database that was dumped; the dump's table of contents has it too. Since format 2. */
  readonly oid?: number;
  readonly schema: string;
  readonly table: string;
  /** Rows of the table itself (FROM ONLY) in the dump's snapshot. */
  readonly rows: number;
  /** The extension whose configuration the table is: the dump holds the rows that are not the extension's own. */
  readonly extension?: string;
  /** As the dump's COPY lists them. Since format 2. */
  readonly columns?: readonly string[];
  /** The file of its rows, of `files`. Absent of a release that did not note it, and of a table of whose rows the dump has none. */
  readonly file?: string;
}

/** What is around the tables of a database, and comes back by other ways than COPY: enough to see that it did. */
export interface Surroundings {
  /** The role that initdb made (oid 10): who granted what superusers granted. */
  readonly superuser: string;
  readonly encoding: string;
  /** The dump's bytea_output, which pg_dump leaves as the role or the database sets it. Absent: hex, or an older release. */
  readonly bytea?: string;
  /** Their names, and the folder of each on the server; a restore puts everything into the default one. */
  readonly tablespaces: Readonly<Record<string, string>>;
  /** By kind (engine/fingerprint/catalogue.ts) and name. Settings, which may be secrets, are hashes. */
  readonly facts: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** By extension. */
  readonly members: Readonly<Record<string, Members>>;
  /** What a restore could reach other servers by. */
  readonly reach?: Reach;
}

/**
 * manifest.json: written last, so a backup that has one is whole. Holds no password and no row value. Format 1 has no roles and
 * nothing of what is around the tables, so that it can be read and restored, and never proven.
 */
export interface Manifest {
  readonly formatVersion: 1 | 2;
  readonly server: { readonly version: string; readonly systemIdentifier: string; readonly database: string };
  /** The ledger (uuid) that this backup belongs to. */
  readonly ledgerId: string;
  /** What is about to be applied and may need this backup: hashes of modules and data migrations, by name. */
  readonly protects: Readonly<Record<string, string>>;
  /** The server's clock, UTC, microseconds: when the snapshot was taken, and when the dump was whole. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly pgDump: {
    readonly version: string;
    readonly jobs: number;
    readonly excludedSchemas: readonly string[];
    /** Since format 2. */
    readonly compression?: string;
  };
  readonly largeObjects: number;
  readonly tables: readonly ManifestTable[];
  /** Since format 2. */
  readonly around?: Surroundings;
  /** By which a later look tells what was changed since. Absent of a release that did not note it. */
  readonly moment?: Moment;
  readonly files: readonly ManifestFile[];
}

/** @returns sha256 of a text, hexadecimal. */
export const sha256Of = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");

/** @returns sha256 of a file, hexadecimal. */
async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** Sizes and hashes of all that a backup holds: the dump's files, and roles.sql. */
export async function hashFiles(backup: string, signal: AbortSignal): Promise<ManifestFile[]> {
  const files: ManifestFile[] = [];
  const dumped = await filesUnder(join(backup, dumpFolder));
  for (const path of [...dumped.map((name) => `${dumpFolder}/${name}`), rolesFile]) {
    signal.throwIfAborted();
    const { size } = await stat(join(backup, path));
    files.push({ path, size, sha256: await sha256(join(backup, path)) });
  }
  return files;
}

/** Paths of all files under a folder, relative to it, sorted. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return paths.map((path) => path.split("\\").join("/")).sort();
}

/** Bytes of all files under a folder; what is gone meanwhile has none. */
export async function bytesUnder(folder: string): Promise<number> {
  let bytes = 0;
  for (const file of await filesUnder(folder).catch(() => []))
    bytes += (await stat(join(folder, file)).catch(() => undefined))?.size ?? 0;
  return bytes;
}

/**
 * Proves that a backup is whole: its manifest is there and well formed, and every file, and no other, is there with its
 * size and, if asked, its hash.
 *
 * @param path  the backup's folder.
 * @param options.sha whether hashes are asked, or of which files
 * @param options.manifestSha256 what the ledger says the manifest itself was
 * @param options.beside a file that may be there and is not the backup's, while its folder has no name yet
 * @throws GuardianError naming the file that is missing, broken or too much.
 */
export async function verifyBackup(
  path: string,
  options: {
    readonly sha: boolean | ((file: string) => boolean);
    readonly manifestSha256?: string | undefined;
    readonly beside?: string;
  },
): Promise<Manifest> {
  const { sha, manifestSha256 } = options;
  const hashed = typeof sha === "boolean" ? (): boolean => sha : sha;
  const text = await read(path);
  if (manifestSha256 !== undefined && sha256Of(text) !== manifestSha256)
    throw broken(
      `${manifestFile} is not what was written when it was taken (its sha256 differs from the ledger's)`,
      path,
    );
  const manifest = parse(text, path);
  const listed = new Map(manifest.files.map((file) => [file.path, file]));
  for (const file of await filesUnder(path)) {
    if (![manifestFile, proofFile, halfProofFile, options.beside].includes(file) && !listed.has(file))
      throw broken(`${file} is not in the manifest`, path);
  }
  for (const file of manifest.files) {
    const found = await stat(join(path, file.path)).catch(() => undefined);
    if (!found?.isFile()) throw broken(`${file.path} is missing`, path);
    if (found.size !== file.size) throw broken(`${file.path} has ${found.size} bytes, not ${file.size}`, path);
    if (hashed(file.path) && (await sha256(join(path, file.path))) !== file.sha256) {
      throw broken(`${file.path} is not what was written (sha256 differs)`, path);
    }
  }
  return manifest;
}

/** What a backup says of itself, whether or not its files are there. @throws GuardianError if it does not say it */
export async function readManifest(path: string): Promise<Manifest> {
  return parse(await read(path), path);
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(join(path, manifestFile), "utf8");
  } catch (err) {
    const code = err instanceof Error && "code" in err ? String(err.code) : "unreadable";
    throw broken(`${manifestFile} cannot be read (${code})`, path);
  }
}

function parse(text: string, path: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(`${manifestFile} is not JSON`, path);
  }
  const manifest = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const format = manifest.formatVersion;
  if (format !== 1 && format !== 2) throw broken(`${manifestFile} is not of format version 1 or 2`, path);
  const files: unknown = manifest.files;
  const { server, tables } = manifest as { server?: Record<string, unknown>; tables?: unknown };
  const named = [manifest.ledgerId, server?.["version"], server?.["systemIdentifier"], server?.["database"]];
  const texts =
    named.every((one) => typeof one === "string") && [manifest.startedAt, manifest.finishedAt].every(isTime);
  const parts = [manifest.protects, ...(format === 2 ? [manifest.around] : [])];
  const objects =
    parts.every((one) => typeof one === "object" && one) && Array.isArray(tables) && tables.every(isTable);
  const listed = Array.isArray(files) && files.every(isFile) ? files : [];
  const needed = [`${dumpFolder}/toc.dat`, ...(format === 2 ? [rolesFile] : [])];
  if (!texts || !objects || !needed.every((one) => listed.some((file) => file.path === one))) {
    throw broken(`${manifestFile} lacks parts`, path);
  }
  if (listed.some((file) => file.path.startsWith("/") || file.path.split("/").includes(".."))) {
    throw broken(`${manifestFile} names a file outside the backup`, path);
  }
  return value as Manifest;
}

const isTime = (value: unknown): boolean =>
  typeof value === "string" &&
  /^\d{4}-\d\d-\d\d[ T][\d:.]+(Z|[+-][\d:]+)$/.test(value) &&
  !Number.isNaN(Date.parse(value));

function isTable(value: unknown): boolean {
  const { schema, table, rows } = (value ?? {}) as Partial<Record<keyof ManifestTable, unknown>>;
  return typeof schema === "string" && typeof table === "string" && typeof rows === "number";
}

function isFile(value: unknown): value is ManifestFile {
  const file = (typeof value === "object" && value !== null ? value : {}) as Partial<
    Record<keyof ManifestFile, unknown>
  >;
  return typeof file.path === "string" && typeof file.size === "number" && typeof file.sha256 === "string";
}

function broken(what: string, path: string): GuardianError {
  return new GuardianError("backup-broken", {
    what: `the backup is broken: ${what}`,
    where: path,
    todo: "keep it for inspection, and make a new backup",
  });
}
