import { dirname, join, resolve } from "node:path";
import { fromPostgres, GuardianError } from "../../base/errors";
import { asQueryable } from "../../base/sql";
import { toClientEnv } from "../../connect";
import { textSettings } from "../../fingerprint/content";
import type { Scratch } from "../../scratch/scratch";
import { type FoundBackup, microseconds } from "../adopt";
import { clientBeside, findClient } from "../client";
import { leftBehind, removeFolder, removeStale, startFolder } from "../folder";
import { folderFailure } from "../place";
import { PhaseReport } from "../progress";
import { dumpFolder, verifyBackup, type Manifest } from "../manifest";
import { both } from "./both";
import { checkListing, compareContent, digestBackup, type Side } from "./content";
import { type Clients, dumpAgain } from "./copy";
import { asDiffering, differs } from "./differs";
import { compareFacts } from "./facts";
import { checkIndexes, isOfCheck } from "./indexes";
import { onScratch, readDatabase, setLast } from "./place";
import { type Proving, restore, type Restored } from "./restore";
import { compareDefinitions, definitions } from "./schema";
import { readToc } from "./toc";
import type { Belonging, Proof, ProofOptions, ProofProgress } from "./types";

export type { Proof, ProofOptions } from "./types";

/**
 * Proves a backup: restores it on a scratch server, dumps the copy and compares the two, rows, definitions, roles and
 * settings. What differs is an error; what could not be tried is named in the verdict. The scratch is left with the copy
 * on it, which is its owner's to close.
 *
 * @throws GuardianError `backup-differs` by the step that found it: its listing, a hash, the restore, the comparison;
 *   `backup-unproven` for one of an older release, which cannot be; others where the backup is not to blame (the scratch died, a disk is full, it was stopped)
 */
export async function prove(backup: FoundBackup, scratch: Scratch, options: ProofOptions): Promise<Proof> {
  const report = new PhaseReport<ProofProgress["phase"]>(options.onProgress);
  const phase = (next: ProofProgress["phase"]): void => report.begin(next);
  // Aborted by the caller, or by whichever of two things at once fails first.
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const directory = dirname(resolve(backup.path));
  leftBehind(await removeStale(directory)).forEach((line) => options.onWarning?.(line));
  const folder = await startFolder(directory, "proof");
  phase("hashing");
  try {
    const { manifestSha256 } = options.belongsTo ?? {};
    const whole = verifyBackup(backup.path, { sha: false, manifestSha256 });
    const manifest = await asDiffering("listing", backup.path, whole);
    const { around } = manifest;
    // Nothing was found against it: whoever hears this must not note that it is refuted.
    if (!around)
      throw new GuardianError("backup-unproven", {
        what: "an older release made the backup, without roles: it can be restored, and not proven",
        where: backup.path,
        todo: "make a new backup",
      });
    refuseOthers(manifest, options.belongsTo ?? {}, backup.path);
    const clients = await findClients(manifest, scratch, { ...options, signal, folder: folder.path });
    const dump = join(backup.path, dumpFolder);
    // Read while its hashes are: what the clients say takes them longer than it takes us to hear.
    const database = scratch.kind === "embedded" ? readDatabase(clients.restorer, dump) : undefined;
    database?.catch(() => undefined); // is thrown where it is asked for
    const proving: Proving = { backup, manifest, around, dump, scratch, clients, signal, phase, database };
    const { unproven, restoreSeconds, indexes } = await run(proving, stop);
    return {
      verdict: unproven.length === 0 ? "proven" : "partly proven",
      unproven,
      restoreSeconds,
      seconds: report.seconds,
      indexes,
      bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
      rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
    };
  } catch (err) {
    throw failure(options.signal, stop.signal.aborted ? stop.signal.reason : err, directory);
  } finally {
    report.stop();
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
  scratch: Pick<Scratch, "major" | "settings"> & Partial<Pick<Scratch, "kind" | "networked">>,
  { jobs, signal, env, folder }: Pick<ProofOptions, "jobs" | "signal" | "env"> & { folder: string },
): Promise<Clients> {
  const wrote = Number.parseInt(manifest.pgDump.version, 10);
  const pgDump = await findClient("pg_dump", Math.max(wrote, scratch.major), env);
  const path = await clientBeside("pg_restore", pgDump, env);
  // Only what it reads from files: it connects with other settings.
  const restorer = { path, env: toClientEnv(scratch.settings, "proof"), signal, folder };
  const { major: server, kind, networked } = scratch;
  return { pgDump: pgDump.path, major: pgDump.major, server, scratch: kind, networked, restorer, jobs };
}

async function run(
  proving: Proving,
  stop: AbortController,
): Promise<Pick<Proof, "unproven" | "restoreSeconds" | "indexes">> {
  const { backup, manifest, around, dump, clients, signal, phase } = proving;
  const toc = await readToc(clients.restorer, dump);
  checkListing(manifest, toc, backup.path);
  // Before anything of it is run on a server.
  await asDiffering("hash", backup.path, verifyBackup(backup.path, { sha: true }));
  phase("restoring");
  // The data is read while it is restored; the first of the two to fail ends the other, which is waited for.
  const failed = (err: unknown): never => {
    stop.abort(err);
    throw err;
  };
  const [digests, restored] = await both(
    digestBackup(backup.path, manifest, toc, signal).catch(failed),
    restore(proving, toc).catch(failed),
  );
  phase("dumping again");
  // An index is looked at while the rows are dumped; a difference of the rows is said before one of an index.
  const indexes = checkIndexes(restored.settings, clients.jobs, signal, backup.path);
  const compared = (async (): Promise<void> => {
    const again = await dumpAgain(clients, restored.settings, {
      encoding: around.encoding,
      bytea: around.bytea ?? "hex",
    });
    phase("comparing");
    const side = readToc(clients.restorer, again.folder).then((tocAgain) => ({ toc: tocAgain, ...again }));
    await both(
      side.then((is) => compareDumps(proving, { toc, folder: dump, digests }, is, restored)),
      compareAround(proving, restored),
    );
    phase("checking indexes");
  })();
  const [, checked] = await both(compared, indexes);
  return { unproven: restored.unproven, restoreSeconds: restored.seconds, indexes: checked };
}

/** Compares rows and definitions. */
async function compareDumps(proving: Proving, was: Side, is: Side, restored: Restored): Promise<void> {
  const { backup, manifest, around, clients, signal } = proving;
  const { settings, options, missing, defined } = restored;
  const left = new Set([...missing.left].filter(({ kind }) => kind === "TABLE DATA").map(({ oid }) => oid));
  const aside = new Set("amcheck" in (around.facts["extension"] ?? {}) ? [] : is.toc.entries.filter(isOfCheck));
  const content = onScratch(settings, signal, (client) =>
    compareContent(manifest, was, is, asQueryable(client), { signal, left }),
  );
  const [, definedAgain] = await both(content, definitions(clients.restorer, is.folder, is.toc, options, aside));
  await compareDefinitions(defined, definedAgain, backup.path, missing.isStub);
}

/** Compares what is around the tables, once all of it is set: after the dump, whose sessions it would hold for. */
async function compareAround({ backup, around, signal }: Proving, restored: Restored): Promise<void> {
  const { settings, ours, later, unproven } = restored;
  unproven.push(...(await setLast(later, settings, signal, backup.path)));
  const excused = new Set(unproven.map(({ table }) => table));
  await onScratch(settings, signal, async (client) => {
    const db = asQueryable(client);
    await client.query("BEGIN");
    await db.script(textSettings);
    unproven.push(...(await compareFacts(around, db, { ours, excused, where: backup.path })));
    await client.query("ROLLBACK");
  });
}
