import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { GuardianConfig } from "../../config";
import { resolveConnection, type ConnectionSettings, type DatabaseInput } from "../../engine/connect";
import { Database } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { first } from "../../engine/base/sql";
import type { BackupFolder } from "../../engine/backup/keep/read";
import { provenBy, reliedOn, type Relied } from "../../engine/backup/keep/relied";
import { isOf } from "../../engine/backup/keep/choose";
import { utcNow } from "../../engine/backup/snapshot";
import { identityOf, isCopied, readLedger, readPhysical, type DatabaseIdentity } from "../../engine/ledger/identity";
import { detailOf, firstRelied, readSteps } from "../../engine/ledger/steps";
import type { Queryable } from "../../engine/base/sql";
import { readKeys, selectedHere } from "../purge/stack";

/** Where backups are, and the stack that they are of, where one is meant. */
export interface Place {
  directory: string;
  /** Of the stack, or the defaults. */
  backup: GuardianConfig["backup"];
  scratch?: DatabaseInput | undefined;
  /** The stack's database; absent where no stack is meant. */
  settings?: ConnectionSettings;
}

const defaults: GuardianConfig["backup"] = {
  directory: ".guardian/backups",
  jobs: 2,
  maxAge: 3600,
  verify: "restore",
  keep: { count: 5, age: 30 * 86_400 },
};

/** Finds where backups are. --directory alone asks no stack, so that nothing but the folder must be there. */
export function placeOf(
  given: { directory: string | undefined; stack: string | undefined; cwd: string | undefined },
  around: { clone: string; env: NodeJS.ProcessEnv; say: (line: string) => void },
): Place {
  const { directory, stack: named, cwd } = given;
  if (directory !== undefined && named === undefined) return { directory: resolve(directory), backup: defaults };
  const folder = cwd === undefined ? around.clone : resolve(cwd);
  const stack = named ?? selected(folder, around.env);
  if (named === undefined) around.say(`the stack is ${stack}, which is selected`);
  const { database, backup, scratch } = readKeys(folder, stack, ["database", "backup", "scratch"]);
  const settings = resolveConnection(database, around.env);
  settings.warnings.forEach(around.say);
  return {
    directory: directory === undefined ? resolve(folder, backup.directory) : resolve(directory),
    backup,
    scratch,
    settings,
  };
}

/** @throws GuardianError where there is no such folder: one that was mistyped, or is not mounted, would pass for one without backups */
export function refuseMissing(directory: string): void {
  if (existsSync(directory)) return;
  throw new GuardianError("folder-unusable", {
    what: "There is no such folder, so nothing was looked at",
    where: directory,
    todo: ["name the folder with the backups: --directory FOLDER", "mount its disk, if it is on one of its own"],
  });
}

function selected(folder: string, env: NodeJS.ProcessEnv): string {
  try {
    return selectedHere(folder, env);
  } catch (err) {
    if (!(err instanceof GuardianError)) throw err;
    const { code, what, where, todo } = err;
    const more = [...todo, "or name the folder with the backups, if that is all there is: --directory FOLDER"];
    throw new GuardianError(code, { what, ...(where === undefined ? {} : { where }), todo: more });
  }
}

/** What the ledger says of backups, and which database it is of. */
export interface KnownLedger {
  relied: Relied;
  /** Backups that it says are off the machine: where, and the hash of their index there. */
  stored: readonly { at: string; indexSha256: string; manifestSha256?: string | undefined }[];
  here: DatabaseIdentity;
  formerNames: readonly string[];
  /** The server's clock. */
  now: string;
}

/** Reads it, in a transaction of the caller's. @throws GuardianError where there is none, or it is of another database */
export async function readKnown(db: Queryable): Promise<KnownLedger> {
  const [ledger, here] = [await readLedger(db), await readPhysical(db)];
  if (!ledger || isCopied(ledger, here)) {
    throw new GuardianError("prune-refused", {
      what: `${here.database} has ${ledger ? "the ledger of a database that it is a copy of" : "no ledger"}`,
      where: `database ${here.database} of cluster ${here.systemIdentifier}`,
      todo: "name the stack whose database has the ledger: --stack NAME",
    });
  }
  const steps = await readSteps(db);
  const compared = new Map<string, string>();
  for (const { urn } of steps.filter(({ kind, part }) => kind === "Backup" && part === "")) {
    const path = (await firstRelied(db, urn))?.taken.path;
    if (path !== undefined) compared.set(urn, path);
  }
  const relied = reliedOn(steps, compared);
  const stored = steps.flatMap((step) => {
    const { at, indexSha256, path } = step.kind === "upload" && step.state === "done" ? detailOf(step, "upload") : {};
    if (at === undefined || indexSha256 === undefined) return [];
    const taken = detailOf(
      steps.find(({ urn, part }) => urn === step.urn && part === ""),
      "Backup",
    );
    return [{ at, indexSha256, manifestSha256: taken.path === path ? taken.manifestSha256 || undefined : undefined }];
  });
  const now = (await first<{ at: string }>(db, `SELECT ${utcNow} AS at`))?.at ?? "";
  return { relied, stored, here: identityOf(ledger.ledgerId, here), formerNames: ledger.formerNames, now };
}

/** What could be asked of the stack's database. */
export interface Asked {
  known?: KnownLedger;
  /** Why there is nothing known, where a stack is meant. */
  why?: GuardianError;
  /** The stack's own database, where it was reached. */
  own?: { systemIdentifier: string; database: string };
}

/** The ledger where it can be reached; else why not. One that does not answer is waited for once. */
export async function askLedger(place: Place): Promise<Asked> {
  if (!place.settings) return {};
  const host = new Database(place.settings);
  let own: Asked["own"];
  try {
    const { systemIdentifier, database } = await host.server();
    own = { systemIdentifier, database };
    return { own, known: await host.read(readKnown) };
  } catch (err) {
    if (err instanceof GuardianError) return own ? { own, why: err } : { why: err };
    throw err;
  } finally {
    await host.close();
  }
}

/**
 * Finds the backup that is meant: by its name, a part of it that no other has, or `latest`.
 * @param proven `latest` is the last one that is proven, if any is; else the newest that is whole
 */
export function pick(
  id: string,
  folders: readonly BackupFolder[],
  known: KnownLedger | undefined,
  directory: string,
  proven: boolean,
): { folder: BackupFolder; newer?: BackupFolder } {
  const whole = folders.filter(({ state }) => state === "whole" || state === "broken");
  if (id !== "latest") {
    const found = whole.filter(({ name }) => name === id);
    const like = found.length > 0 ? found : whole.filter(({ name }) => name.includes(id));
    if (like[0] && like.length === 1) return { folder: like[0] };
    throw unknown(
      like.length > 1 ? `${like.length} backups have ${id} in their names` : `there is no backup ${shownId(id)}`,
      directory,
    );
  }
  const verdict = (one: BackupFolder): string => provenBy(one, known?.relied)?.verdict ?? "";
  const sound = whole.filter((one) => one.state === "whole" && verdict(one) !== "not proven");
  const mine = known ? sound.filter((one) => isOf(one, known.here, known.formerNames)) : sound;
  const of = new Set(mine.map(({ manifest }) => `${manifest?.server.database ?? ""} ${manifest?.ledgerId ?? ""}`));
  if (of.size > 1)
    throw unknown(`latest could be of ${of.size} databases or ledgers: ${[...of].join("; ")}`, directory);
  const newest = mine.at(-1);
  if (!newest) throw unknown("there is no backup that is whole", directory);
  const words = proven ? ["proven", "partly proven"] : [];
  const best = words.map((word) => mine.findLast((one) => verdict(one) === word)).find((one) => one !== undefined);
  return best && best !== newest ? { folder: best, newer: newest } : { folder: newest };
}

/** What is no name of a backup may be anything, a connection too, and is not shown. */
export const shownId = (id: string): string => (/^[\w.-]{1,100}$/.test(id) ? id : "of such a name");

function unknown(what: string, where: string): GuardianError {
  return new GuardianError("backup-unknown", {
    what,
    where,
    todo: ["see what there is, and name one: npm run backups -- list", "name another place: --directory FOLDER"],
  });
}
