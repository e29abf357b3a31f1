import { existsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { first, type Queryable } from "../base/sql";
import { count } from "../connect";
import { detailOf, type Step } from "../ledger/steps";
import type { WantedBackup } from "./step/policy";

/** How much more than expected is asked for: a database grows. */
const margin = 1.3;

/** What a backup that is to be taken, and its proof, will write. Bytes. */
export interface Room {
  /** Where backups are: the dump, and for a proof that of the copy, which is not compressed. */
  readonly here: number;
  /** Where the copy is restored. */
  readonly scratch: number;
  /** What `here` is made of, in words. */
  readonly why: string;
}

/**
 * Expects of a dump what the last one had, or else what the whole database has.
 * @param steps the newest attempts of the whole ledger
 * @param urn the backup's
 */
export async function roomFor(
  db: Queryable,
  steps: readonly Step[],
  urn: string,
  { verify, directory }: Pick<WantedBackup, "verify" | "directory">,
): Promise<Room> {
  const text = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes";
  const database = count((await first<{ bytes: string }>(db, text))?.bytes);
  const last = detailOf(
    steps.find((step) => step.urn === urn && step.part === ""),
    "Backup",
  ).bytes;
  const proven = verify !== "list";
  const dump = Math.ceil((last ?? database) * margin);
  const expected = last === undefined ? "the database has" : "the last backup had";
  const copy = proven ? ` and ${mebi(database)} for the dump of the copy, with which it is compared` : "";
  return {
    here: dump + (proven ? database : 0),
    scratch: proven ? Math.ceil(database * margin) + (onDiskOfTemporary(resolve(directory)) ? database : 0) : 0,
    why: `${mebi(dump)} for the dump (${margin} times what ${expected})${copy}`,
  };
}

/** The dump of the copy is written while the copy is there. */
export function onDiskOfTemporary(directory: string): boolean {
  let at = directory;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return statSync(at).dev === statSync(tmpdir()).dev;
}

/** Bytes as people read them. */
export function mebi(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
