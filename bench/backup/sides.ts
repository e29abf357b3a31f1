import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { dump, type DumpOptions, type FoundBackup } from "../../engine/backup";
import { prove, type Proof } from "../../engine/backup/prove";
import { toClientEnv, type ConnectionSettings } from "../../engine/connect";
import { ledgerSchema } from "../../engine/ledger/schema";
import { openScratch, type Scratch } from "../../engine/scratch";

/** What both sides work with. */
export interface Work {
  settings: ConnectionSettings;
  /** The folder of the client programs. */
  bin: string;
  /** Where dumps go; its owner's to remove. */
  folder: string;
  jobs: number;
  major: number;
  signal: AbortSignal;
}

async function client(work: Work, name: string, settings: ConnectionSettings, args: string[]): Promise<void> {
  const env = toClientEnv(settings, "bench");
  await promisify(execFile)(join(work.bin, name), args, { env, signal: work.signal, maxBuffer: 64 * 1024 * 1024 });
}

/** @returns what the work gives, and how long it took, in seconds */
async function timed<T>(run: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const began = performance.now();
  const value = await run();
  return { value, seconds: (performance.now() - began) / 1000 };
}

/** The product's dump: roles, counts, a look at its contents, hashes, manifest. */
export function ourDump(work: Work): Promise<{ value: FoundBackup & { bytes: number }; seconds: number }> {
  const options: DumpOptions = {
    ...{ settings: work.settings, directory: join(work.folder, "ours"), jobs: work.jobs, signal: work.signal },
    ...{ excludeSchemas: [ledgerSchema], ledgerId: "bench", protects: {}, env: { GUARDIAN_PG_BIN: work.bin } },
  };
  return timed(() => dump(options));
}

/** One pg_dump with the same jobs and compression. */
export async function rawDump(work: Work, compression: string): Promise<number> {
  const folder = join(work.folder, "raw");
  const args = ["--format=directory", `--jobs=${work.jobs}`, `--compress=${compression}`, `--file=${folder}`];
  const { seconds } = await timed(() => client(work, "pg_dump", work.settings, args));
  rmSync(folder, { recursive: true });
  return seconds;
}

/** A scratch of its own for each side and round; that it starts is not measured. */
async function onScratch<T>(work: Work, run: (scratch: Scratch) => Promise<T>): Promise<T> {
  const { major, signal } = work;
  const scratch = await openScratch({ major, bytes: 1e9, owner: "bench", systemIdentifier: "bench", signal });
  try {
    return await run(scratch);
  } finally {
    await scratch.close();
  }
}

/** The product's proof. */
export function ourProof(work: Work, backup: FoundBackup): Promise<{ value: Proof; seconds: number }> {
  const options = { jobs: work.jobs, signal: work.signal, env: { GUARDIAN_PG_BIN: work.bin } };
  return onScratch(work, (scratch) => timed(() => prove(backup, scratch, options)));
}

/** One pg_restore with the same jobs, and one uncompressed pg_dump of what it made; the roles are there before. */
export function rawProof(work: Work, backup: FoundBackup): Promise<number> {
  return onScratch(work, async (scratch) => {
    await client(work, "psql", scratch.settings, ["-qX", "-o", "/dev/null", "-f", join(backup.path, "roles.sql")]);
    const settings = await scratch.createDatabase("raw");
    const again = join(work.folder, "again");
    const { seconds } = await timed(async () => {
      await client(work, "pg_restore", settings, ["--dbname=raw", `--jobs=${work.jobs}`, join(backup.path, "dump")]);
      const args = ["--format=directory", `--jobs=${work.jobs}`, "--compress=none", `--file=${again}`];
      await client(work, "pg_dump", settings, args);
    });
    rmSync(again, { recursive: true });
    return seconds;
  });
}
