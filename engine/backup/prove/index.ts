import { dirname, join, resolve } from "node:path";
import type { Client } from "pg";
import { fromPostgres, GuardianError } from "../../base/errors";
import type { Queryable } from "../../base/sql";
import { toClientEnv, type ConnectionSettings } from "../../connect";
import { textSettings } from "../../fingerprint/content";
import type { Scratch } from "../../scratch/scratch";
import { type FoundBackup, microseconds } from "../adopt";
import { clientBeside, findClient } from "../client";
import { removeFolder, removeStale, startFolder } from "../folder";
import { folderFailure } from "../place";
import { dumpFolder, verifyBackup, type Manifest, type Surroundings } from "../manifest";
import { checkListing, compareContent, digestBackup } from "./content";
import { type Clients, dumpAgain, restoreInto } from "./copy";
import { asDiffering, differs } from "./differs";
import type { Digest } from "./digest";
import { compareFacts } from "./facts";
import { checkIndexes } from "./indexes";
import { findMissing, makeStubs, type Missing } from "./missing";
import { asFirstRole, makeDatabase, makeRoles, onScratch, readDatabase, setLast } from "./place";
import { compareDefinitions, definitions } from "./schema";
import { readToc, type Toc, type TocEntry, useList } from "./toc";
import type { Belonging, Proof, ProofOptions, ProofProgress, Unproven } from "./types";

export type { Proof, ProofOptions } from "./types";

/** What one proof works with. */
interface Proving {
  backup: FoundBackup;
  manifest: Manifest;
  around: Surroundings;
  /** The folder that pg_dump wrote. */
  dump: string;
  scratch: Scratch;
  clients: Clients;
  signal: AbortSignal;
  phase: (phase: ProofProgress["phase"]) => void;
}

/**
 * Proves a backup: restores it on a scratch server, dumps the copy and compares the two, rows, definitions, roles and
 * settings. What differs is an error; what could not be tried is named in the verdict. The scratch is left with the copy
 * on it, which is its owner's to close.
 *
 * @throws GuardianError `backup-differs` by the step that found it: its listing, a hash, the restore, the comparison; others
 *   where the backup is not to blame (the scratch died, a disk is full, it was stopped)
 */
export async function prove(backup: FoundBackup, scratch: Scratch, options: ProofOptions): Promise<Proof> {
  const began = performance.now();
  const seconds = (): number => Math.round((performance.now() - began) / 10) / 100;
  const told = { phase: "hashing" as ProofProgress["phase"] };
  const say = (): void => options.onProgress?.({ phase: told.phase, seconds: seconds() });
  const phase = (next: ProofProgress["phase"]): void => {
    told.phase = next;
    say();
  };
  phase("hashing");
  const ticking = setInterval(say, 2000);
  // Aborted by the caller, or by whichever of two things at once fails first.
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const directory = dirname(resolve(backup.path));
  await removeStale(directory);
  const folder = await startFolder(directory, "proof");
  try {
    const manifest = await asDiffering("listing", backup.path, verifyBackup(backup.path, { sha: false }));
    const { around } = manifest;
    if (!around)
      throw differs(
        "listing",
        "an older release made it, without roles: it can be restored, and not proven",
        backup.path,
      );
    refuseOthers(manifest, options.belongsTo ?? {}, backup.path);
    const clients = await findClients(manifest, scratch, { ...options, signal, folder: folder.path });
    const dump = join(backup.path, dumpFolder);
    const proving: Proving = { backup, manifest, around, dump, scratch, clients, signal, phase };
    const { unproven, restoreSeconds } = await run(proving, stop);
    return {
      verdict: unproven.length === 0 ? "proven" : "partly proven",
      unproven,
      restoreSeconds,
      seconds: seconds(),
      bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
      rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
    };
  } catch (err) {
    throw failure(options.signal, stop.signal.aborted ? stop.signal.reason : err, directory);
  } finally {
    clearInterval(ticking);
    await removeFolder(folder);
  }
}

function failure(signal: AbortSignal, err: unknown, directory: string): GuardianError {
  if (signal.aborted) {
    return new GuardianError("interrupted", {
      what: "the proof of a backup was stopped; the backup stays, and what was made to prove it goes",
      where: directory,
      todo: "run again to prove it",
    });
  }
  // What node:fs throws has a syscall.
  return err instanceof Error && "syscall" in err ? folderFailure(err, directory) : fromPostgres(err, directory);
}

function refuseOthers(manifest: Manifest, wanted: Belonging, path: string): void {
  const { server, ledgerId, startedAt } = manifest;
  const { systemIdentifier = server.systemIdentifier, database = server.database } = wanted;
  if (systemIdentifier !== server.systemIdentifier || database !== server.database)
    throw differs(
      "listing",
      `it is of database ${server.database} of cluster ${server.systemIdentifier}, and should be of ${database} of ${systemIdentifier}`,
      path,
    );
  if (ledgerId !== (wanted.ledgerId ?? ledgerId))
    throw differs("listing", `it was taken for the ledger ${ledgerId}, and this is ${wanted.ledgerId ?? ""}`, path);
  if (wanted.since !== undefined && microseconds(startedAt) <= microseconds(wanted.since))
    throw differs("listing", `it was taken at ${startedAt}, before the last change (${wanted.since})`, path);
}

/** What wrote the dump reads it: of that version or the next one that is here. */
export async function findClients(
  manifest: Manifest,
  scratch: Pick<Scratch, "major" | "settings">,
  { jobs, signal, env, folder }: Pick<ProofOptions, "jobs" | "signal" | "env"> & { folder: string },
): Promise<Clients> {
  const wrote = Number.parseInt(manifest.pgDump.version, 10);
  const pgDump = await findClient("pg_dump", Math.max(wrote, scratch.major), env);
  const path = await clientBeside("pg_restore", pgDump, env);
  // Only what it reads from files: it connects with other settings.
  const restorer = { path, env: toClientEnv(scratch.settings, "proof"), signal, folder };
  return { pgDump: pgDump.path, major: pgDump.major, server: scratch.major, restorer, jobs };
}

async function run(proving: Proving, stop: AbortController): Promise<{ unproven: Unproven[]; restoreSeconds: number }> {
  const { backup, manifest, around, dump, clients, signal, phase } = proving;
  const toc = await readToc(clients.restorer, dump);
  checkListing(manifest, toc, backup.path);
  await asDiffering("hash", backup.path, verifyBackup(backup.path, { sha: true }));
  phase("restoring");
  // The data is read while it is restored; the first of the two to fail ends the other, which is waited for.
  const failed = (err: unknown): never => {
    stop.abort(err);
    throw err;
  };
  const [read, made] = await Promise.allSettled([
    digestBackup(backup.path, manifest, toc, signal).catch(failed),
    restore(proving, toc).catch(failed),
  ]);
  if (read.status === "rejected") throw read.reason;
  if (made.status === "rejected") throw made.reason;
  const [digests, restored] = [read.value, made.value];
  phase("dumping again");
  const again = await dumpAgain(clients, restored.settings, around.encoding);
  phase("comparing");
  const tocAgain = await readToc(clients.restorer, again.folder);
  const side = { toc: tocAgain, ...again };
  await compare(proving, { toc, folder: dump, digests }, side, restored);
  phase("checking indexes");
  await checkIndexes(restored.settings, clients.jobs, signal, backup.path);
  return { unproven: restored.unproven, restoreSeconds: restored.seconds };
}

interface Restored {
  settings: ConnectionSettings;
  ours: boolean;
  /** pg_restore's options, which hold for what it prints too. */
  options: readonly string[];
  /** What is said of the database and of every role, to be run at last. */
  later: readonly string[];
  unproven: Unproven[];
  missing: Missing;
  seconds: number;
}

async function restore(proving: Proving, toc: Toc): Promise<Restored> {
  const { backup, manifest, around, dump, scratch, clients, signal } = proving;
  const began = performance.now();
  const ours = scratch.kind === "embedded";
  const options = ours ? [] : ["--no-owner", "--no-privileges"];
  const unproven: Unproven[] = [];
  const later: string[] = [];
  let settings: ConnectionSettings;
  if (ours) {
    const name = manifest.server.database;
    const first = await asFirstRole(scratch, around.superuser, signal);
    const [roles, database] = await Promise.all([
      makeRoles(backup.path, around, first, signal),
      readDatabase(clients.restorer, dump),
    ]);
    unproven.push(...roles.unproven, ...(await makeDatabase(database.create, name, around, first, signal)));
    later.push(...database.set, ...roles.later);
    settings = first.withDatabase(name);
  } else {
    settings = await scratch.createDatabase("guardian_proof");
    const reason = "on a scratch server that is not ours, only a database of our own is touched";
    unproven.push(...["owners", "rights", "roles", "settings"].map((table) => ({ table, reason })));
  }
  const missing = await findMissing(manifest, toc, settings, signal);
  unproven.push(...missing.unproven);
  await restoreWithout(proving, toc, missing, settings, options);
  const seconds = Math.round((performance.now() - began) / 10) / 100;
  return { settings, ours, options, later, unproven, missing, seconds };
}

/** Schemas and extensions first where stubs must come between them and what uses these. */
export async function restoreWithout(
  { clients, dump, signal }: Pick<Proving, "clients" | "dump" | "signal">,
  toc: Toc,
  { left, stubs }: Missing,
  settings: ConnectionSettings,
  options: readonly string[],
): Promise<void> {
  if (left.size === 0) return restoreInto(clients, dump, settings, options);
  const { folder } = clients.restorer;
  const kept = toc.entries.filter((entry) => !left.has(entry));
  const first = (entry: TocEntry): boolean => /^(SCHEMA|EXTENSION)$/.test(entry.kind);
  const before = await useList(folder, "first.list", kept.filter(first));
  await restoreInto(clients, dump, settings, [...options, before]);
  await makeStubs(stubs, settings, signal);
  const rest = await useList(
    folder,
    "rest.list",
    kept.filter((entry) => !first(entry)),
  );
  await restoreInto(clients, dump, settings, [...options, rest]);
}

interface Side {
  toc: Toc;
  folder: string;
  digests: ReadonlyMap<string, Digest>;
}

async function compare(proving: Proving, was: Side, is: Side, restored: Restored): Promise<void> {
  const { backup, manifest, around, dump, clients, signal } = proving;
  const { settings, ours, options, later, unproven, missing } = restored;
  const left = new Set([...missing.left].filter(({ kind }) => kind === "TABLE DATA").map(({ oid }) => oid));
  await onScratch(settings, signal, async (client) => {
    const db = asQueryable(client);
    await compareContent(manifest, was, is, db, { signal, left });
    const [before, after] = [
      await definitions(clients.restorer, dump, was.toc, options, missing.left),
      await definitions(clients.restorer, is.folder, is.toc, options),
    ];
    compareDefinitions(before, after, backup.path, missing.isStub);
    unproven.push(...(await setLast(later, settings, signal, backup.path)));
    const excused = new Set(unproven.map(({ table }) => table));
    await client.query("BEGIN");
    await db.script(textSettings);
    unproven.push(...(await compareFacts(around, db, { ours, excused, where: backup.path })));
    await client.query("ROLLBACK");
  });
}

const asQueryable = (client: Client): Queryable => ({
  query: (text, values) => client.query(text, values && [...values]),
  script: async (text) => {
    await client.query(text);
  },
});
