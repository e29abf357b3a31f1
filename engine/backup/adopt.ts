import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { GuardianError } from "../base/errors";
import { type Manifest, manifestFile, sha256Of, verifyBackup } from "./manifest";

export interface AdoptOptions {
  readonly ledgerId: string;
  /** The server's system_identifier and the database: a ledger restored elsewhere has the same id. */
  readonly systemIdentifier: string;
  readonly database: string;
  /** When something was last applied or undone there (timestamptz as text); absent if nothing was. */
  readonly since?: string | undefined;
  /** Seconds that may have passed since the backup's snapshot (guardian:backup.maxAge). */
  readonly maxAge: number;
  /** The server's clock, as text: the manifest's times are the server's too. */
  readonly now: string;
  /** The folder of one that is recorded already, and is not meant. */
  readonly except?: string;
  /** If given, the backup must have been made to protect exactly this. */
  readonly protects?: Readonly<Record<string, string>>;
}

export interface FoundBackup {
  /** Of its folder in the directory. */
  readonly name: string;
  readonly path: string;
  readonly manifest: Manifest;
  /** Hash of manifest.json itself, for the ledger. */
  readonly manifestSha256?: string;
}

/**
 * Finds the newest backup that a killed run finished but did not record: of this ledger and database, whole (hashes
 * included), taken after the last change and young enough. What does not fit is passed over, not removed.
 */
export async function adoptable(directory: string, options: AdoptOptions): Promise<FoundBackup | undefined> {
  const found: FoundBackup[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    if (name.startsWith(".")) continue;
    const path = join(resolve(directory), name);
    if (options.except !== undefined && path === resolve(options.except)) continue;
    const manifest = await whole(path, false);
    if (manifest && fits(manifest, options)) found.push({ name, path, manifest });
  }
  found.sort((a, b) => (a.manifest.startedAt < b.manifest.startedAt ? 1 : -1));
  for (const one of found) {
    const manifestSha256 = sha256Of(await readFile(join(one.path, manifestFile)));
    if (await whole(one.path, true)) return { ...one, manifestSha256 };
  }
  return undefined;
}

async function whole(path: string, sha: boolean): Promise<Manifest | undefined> {
  try {
    return await verifyBackup(path, { sha });
  } catch (err) {
    if (err instanceof GuardianError) return undefined;
    throw err;
  }
}

function fits(manifest: Manifest, options: AdoptOptions): boolean {
  const { formatVersion, server, ledgerId, startedAt } = manifest;
  const sameDatabase =
    ledgerId === options.ledgerId &&
    server.systemIdentifier === options.systemIdentifier &&
    server.database === options.database;
  const taken = microseconds(startedAt);
  const later = options.since === undefined || taken > microseconds(options.since);
  const young = microseconds(options.now) - taken <= BigInt(options.maxAge) * 1_000_000n;
  const sameWork = options.protects === undefined || sorted(options.protects) === sorted(manifest.protects);
  // An older release's has no roles in it and cannot be proven.
  return formatVersion === 2 && sameDatabase && later && young && sameWork;
}

function sorted(record: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * A time of the server as microseconds since 1970, from "2026-01-02 03:04:05.123456+00" or ISO 8601. A Date would round
 * to milliseconds and could put a backup after a change that it does not hold.
 *
 * @throws RangeError if it is no such time.
 */
export function microseconds(time: string): bigint {
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)$/.exec(time);
  const zone = parts?.[4]?.replace(/^([+-]\d\d)$/, "$1:00").replace(/^([+-]\d\d)(\d\d)$/, "$1:$2");
  const seconds = parts ? Date.parse(`${parts[1]}T${parts[2]}${zone}`) : Number.NaN;
  if (Number.isNaN(seconds)) throw new RangeError("not a time with a zone");
  return BigInt(seconds) * 1000n + BigInt((parts?.[3] ?? "").padEnd(6, "0"));
}
