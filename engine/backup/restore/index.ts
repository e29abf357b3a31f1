import { dirname, join, resolve } from "node:path";
import { escapeIdentifier, escapeLiteral } from "pg";
import { fromPostgres, GuardianError, sqlstateOf } from "../../base/errors";
import type { ConnectionSettings } from "../../connect";
import type { FoundBackup } from "../adopt";
import { leftBehind, removeFolder, removeStale, startFolder } from "../folder";
import { dumpFolder, verifyBackup, type Surroundings } from "../manifest";
import { folderFailure } from "../place";
import { PhaseReport } from "../progress";
import { findClients } from "../prove";
import { both } from "../prove/both";
import { checkListing, digestBackup } from "../prove/content";
import type { Clients } from "../prove/copy";
import { asDiffering } from "../prove/differs";
import { leaveUnfilled } from "../prove/left";
import { findMissing, type Missing } from "../prove/missing";
import { readDatabase } from "../prove/place";
import { restoreWithout } from "../prove/restore";
import { refuseTooSmall } from "../prove/room";
import { readToc, type Toc } from "../prove/toc";
import { compareCounts, compareRestored, optionsOf, otherFacts } from "./compare";
import { notKept, notOwned, tablespaces, toFill, unique } from "./left";
import { whileLocked } from "./lock";
import { refuseUnable } from "./rights";
import { restoreRoles, type MadeRoles } from "./roles";
import { forDatabase, tryEach } from "./statements";
import {
  draftsOf,
  finishPlace,
  halfThere,
  lookAtTarget,
  makePlace,
  nearlyThere,
  onTarget,
  refuseGoingOn,
  refuseTarget,
  refuseUnfit,
} from "./target";
import type { Place, Target } from "./target";
import type { Restored, RestoreOptions, RestoreProgress } from "./types";

export { restoreTable } from "./table";
export type { Restored, RestoredTable, RestoreOptions, RestoreProgress } from "./types";

/** What one restore works with. */
interface Restoring {
  backup: FoundBackup;
  around: Surroundings | undefined;
  dump: string;
  toc: Toc;
  target: Target;
  clients: Clients;
  options: RestoreOptions;
  signal: AbortSignal;
  phase: (phase: RestoreProgress["phase"]) => void;
}

/** What is there so far, for the word that is said of it if no more comes. */
interface SoFar {
  place?: Place;
  roles: readonly string[];
  /** All of it is there and was compared; the name that it is given now. */
  naming?: string;
}

const noRoles: MadeRoles = { made: [], logIn: [], left: [], later: [], kept: new Set() };

/**
 * Restores a backup: roles, the database with its settings, its content; then compares rows, definitions and what is around
 * them with what was dumped. A database that is not there is made under a name that says that it is not whole, and gets its
 * own at the very end. What fails stays as it is, and is named.
 * @param to the database that is to be; another one of the same server is enough where it is not there yet
 * @throws GuardianError restore-refused, before anything was written; restore-failed or interrupted, saying what is half
 *   there; others where nothing was
 */
export async function restore(backup: FoundBackup, to: ConnectionSettings, options: RestoreOptions): Promise<Restored> {
  const seen = await lookAtTarget(to, options.signal);
  const live = [backup.manifest.server, ...options.liveDatabases];
  refuseTarget(seen, live, { ...options, fills: true });
  const stop = new AbortController();
  return whileLocked(
    seen,
    (err) => stop.abort(err),
    async () => {
      // Who had the lock before may have filled it.
      const target = await lookAtTarget(to, options.signal);
      refuseTarget(target, live, { ...options, fills: true });
      return restoreLocked(backup, target, options, stop);
    },
  );
}

async function restoreLocked(
  backup: FoundBackup,
  target: Target,
  options: RestoreOptions,
  stop: AbortController,
): Promise<Restored> {
  const to = target.settings;
  const report = new PhaseReport<RestoreProgress["phase"]>(options.onProgress);
  const phase = (next: RestoreProgress["phase"]): void => report.begin(next);
  refuseUnfit(backup, target);
  for (const name of await draftsOf(target, options.signal))
    options.onWarning?.(`database ${name} is of a restore that runs now, or of one that was killed: drop it then`);
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const directory = dirname(resolve(backup.path));
  leftBehind(await removeStale(directory)).forEach((line) => options.onWarning?.(line));
  const folder = await startFolder(directory, "restore");
  const soFar: SoFar = { roles: [] };
  phase("hashing");
  try {
    const manifest = await asDiffering("hash", backup.path, verifyBackup(backup.path, { sha: true }));
    const about = { major: target.server.major, settings: target.maintenance };
    const clients = await findClients(manifest, about, { ...options, signal, folder: folder.path });
    refuseGoingOn(target, clients.major);
    const dump = join(backup.path, dumpFolder);
    const toc = await readToc(clients.restorer, dump);
    const { around } = manifest;
    // Of an older release's, rows are counted alone.
    if (around) await refuseTooSmall({ ...backup, manifest }, directory, signal);
    if (around) checkListing(manifest, toc, backup.path);
    const found: FoundBackup = { ...backup, manifest };
    const work: Restoring = { backup: found, around, dump, toc, target, clients, options, signal, phase };
    const done = await run(work, soFar, stop);
    return { ...done, where: to.toString(), database: to.fields.database, seconds: report.seconds };
  } catch (err) {
    throw failure(stop.signal.aborted ? stop.signal.reason : err, options.signal, soFar, to);
  } finally {
    report.stop();
    await removeFolder(folder);
  }
}

/** What stopped it, and what is half there. */
function failure(
  thrown: unknown,
  signal: AbortSignal,
  { place, roles, naming }: SoFar,
  to: ConnectionSettings,
): unknown {
  const half = place && naming !== undefined ? nearlyThere(place, naming) : halfThere(place, roles);
  if (signal.aborted) {
    return new GuardianError("interrupted", {
      what: `the restore was stopped; ${half.what}`,
      where: to.toString(),
      todo: half.todo,
    });
  }
  const err =
    thrown instanceof Error && "syscall" in thrown
      ? folderFailure(thrown, to.toString())
      : fromPostgres(thrown, to.toString());
  if (!(err instanceof GuardianError) || (!place && roles.length === 0)) return err;
  const what = err.what.replace(/^the backup is not proven, by its (\w+): /, "");
  const sqlstate = sqlstateOf(err);
  return new GuardianError("restore-failed", {
    what: `the restore failed: ${what}; ${half.what}`,
    where: err.where ?? to.toString(),
    todo: [...half.todo, ...(err.code === "backup-differs" ? [] : err.todo)],
    ...(sqlstate === undefined ? {} : { sqlstate }),
    cause: err,
  });
}

type Done = Omit<Restored, "where" | "database" | "seconds">;

async function run(work: Restoring, soFar: SoFar, stop: AbortController): Promise<Done> {
  const { backup, around, dump, toc, target, clients, options, signal, phase } = work;
  const { manifest } = backup;
  const began = performance.now();
  const absent = await findAbsent(work);
  const { leavesOut } = options;
  // Their queries would ask other servers, which may be down, may not know this one, or are production's own.
  const unfilled = around ? leaveUnfilled(around, toc, absent.extensions) : { left: [], unproven: [] };
  const out = toc.entries.filter(
    (entry) => leavesOut?.(entry) === true || (options.owners === false && entry.kind === "DEFAULT ACL"),
  );
  const missing = { ...absent, left: new Set([...absent.left, ...unfilled.left, ...out]) };
  const owners = options.owners !== false;
  const entries = toc.entries.filter((entry) => !missing.left.has(entry));
  const { restorer } = clients;
  await refuseUnable({ manifest, restorer, dump, entries, target, roles: options.roles, owners });
  phase("roles");
  const database = await readDatabase(clients.restorer, dump);
  const roles = options.roles && around ? await makeRolesOn(work, around, soFar) : noRoles;
  const create = (name: string): string => forDatabase(database.create, manifest.server.database, name);
  const making = (place: Place): void => void (soFar.place = place);
  const place = await makePlace(target, create, signal, making).catch((err: unknown) => {
    // What the server refuses it has not made.
    if (!signal.aborted && sqlstateOf(err)?.startsWith("57P") === false) delete soFar.place;
    throw withoutLocale(err, work);
  });
  soFar.place = place;
  phase("restoring");
  // The data is read while it is restored; the first of the two to fail ends the other, which is waited for.
  const failed = (err: unknown): never => {
    stop.abort(err);
    throw err;
  };
  const [digests] = await both(
    around ? digestBackup(backup.path, manifest, toc, signal).catch(failed) : Promise.resolve(new Map()),
    restoreWithout({ clients, dump, signal }, toc, missing, place.settings, optionsOf(owners)).catch(failed),
  );
  const restoreSeconds = Math.round((performance.now() - began) / 10) / 100;
  phase("comparing");
  const shared = target.contents.count > 0;
  if (around) {
    const dumped = { manifest, toc, folder: dump, digests, missing, owners };
    await compareRestored(dumped, place.settings, clients, shared);
  } else await compareCounts(manifest, place.settings, signal, backup.path);
  await options.afterContent?.(place.settings);
  phase("finishing");
  const settings = database.set.filter(
    (text) => !(leavesOut && setting.test(text)) && (owners || !/^ALTER DATABASE \S+ OWNER TO /.test(text)),
  );
  const set = settings.map((text) => forDatabase(text, manifest.server.database, place.settings.fields.database));
  const refused = await onTarget(place.settings, signal, (client) =>
    tryEach(client, [...set, ...roles.later], target.settings.toString()),
  );
  const facts = around ? await otherFacts(around, place.settings, signal, options.roles) : [notKept];
  const other = facts.map((one) =>
    roles.kept.has(one.what.replace(/^role /, "")) ? { ...one, why: "the role was there, and stays as it is" } : one,
  );
  soFar.naming = target.settings.fields.database;
  await finishPlace(place, target, signal);
  const lacking = missing.unproven.map(({ table, reason }) => ({
    what: table,
    why: reason.replaceAll("the scratch", "the server"),
  }));
  return {
    roles: roles.made,
    passwords: roles.logIn,
    left: unique([
      ...roles.left,
      ...(owners ? [] : notOwned(target.server.user)),
      ...lacking,
      ...unfilled.unproven.map(toFill),
      ...refused,
      ...other,
      ...tablespaces(around),
    ]),
    tables: manifest.tables.length,
    rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
    largeObjects: manifest.largeObjects,
    restoreSeconds,
  };
}

/** What is set for a database, or for a role in it. */
const setting = /^ALTER (DATABASE|ROLE) [\s\S]+? SET /;

async function makeRolesOn(
  { backup, target, signal }: Restoring,
  around: Surroundings,
  soFar: SoFar,
): Promise<MadeRoles> {
  return onTarget(target.maintenance, signal, async (client) => {
    const made: string[] = [];
    soFar.roles = made;
    return restoreRoles(backup.path, around.superuser, client, made);
  });
}

/** Extensions that the server lacks, and what hangs on them. @throws GuardianError unless the operator goes without */
async function findAbsent({ backup, toc, target, options, signal }: Restoring): Promise<Missing> {
  const missing = await findMissing(backup.manifest, toc, target.maintenance, signal);
  if (missing.unproven.length === 0 || options.withoutExtensions === true) return missing;
  const names = missing.unproven.map(({ table }) => table);
  throw new GuardianError("restore-refused", {
    what: `the server lacks what the backup needs: ${names.filter((name) => name.startsWith("extension ")).join(", ")}; nothing was written`,
    where: target.settings.toString(),
    todo: [
      "install it there, and restore again",
      `or go without, and without what hangs on it: --without-extensions (${names.slice(0, 20).join(", ")})`,
    ],
  });
}

/** PostgreSQL's word for a locale that the machine lacks says little to who only wants his database back. */
function withoutLocale(err: unknown, { target, backup }: Restoring): unknown {
  if (!["22023", "42809"].includes(sqlstateOf(err) ?? "")) return err;
  const { encoding = "UTF8" } = backup.manifest.around ?? {};
  const name = escapeIdentifier(target.settings.fields.database);
  return new GuardianError("restore-refused", {
    what: "the server lacks the locale that the database had",
    where: target.settings.toString(),
    todo: [
      "install it on the server's machine, and restore again",
      `or make the database with another, and restore into it: CREATE DATABASE ${name} TEMPLATE template0 ENCODING ${escapeLiteral(encoding)} LOCALE 'C'`,
    ],
    cause: err,
  });
}
