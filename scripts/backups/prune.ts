import { choose, type Fate } from "../../engine/backup/keep/choose";
import { readBackups } from "../../engine/backup/keep/read";
import { removeBackup } from "../../engine/backup/keep/remove";
import { GuardianError } from "../../engine/base/errors";
import { shown } from "../../engine/base/names";
import { Database, type FencedWriter } from "../../engine/database";
import { figure, table } from "../demo/table";
import { write } from "../purge/write";
import { askLedger, readKnown, type KnownLedger, type Place } from "./place";

/** What was removed, and what stays. */
export interface Pruned {
  removed: readonly string[];
  bytes: number;
}

/**
 * Removes what need not be kept, after showing it and asking. It is decided anew under the migration's lock, so that no up
 * that runs meanwhile takes a backup away from under itself.
 * @param sure throws unless the operator is
 * @param signal ends it before the next folder
 * @throws GuardianError prune-refused where the ledger cannot be asked: what it relies on is then not known
 */
export async function prune(
  place: Place,
  say: (line: string) => void,
  sure: (what: string) => Promise<void>,
  signal: AbortSignal,
): Promise<Pruned> {
  const { settings, directory } = place;
  const { known, why } = await askLedger(place);
  if (!settings || !known) throw refusal(why, directory);
  const fates = await decide(place, known);
  const going = fates.filter(({ goes }) => goes);
  say(`in ${directory}:`);
  table(fates.map(rowOf)).forEach(say);
  if (going.length === 0) {
    say("nothing is to be removed");
    return { removed: [], bytes: 0 };
  }
  const bytes = going.reduce((sum, { folder }) => sum + folder.bytes, 0);
  await sure(`${going.length} of ${fates.length} folders with ${figure(Math.ceil(bytes / 1e6))} MB`);
  const shownOnes = new Set(going.map(({ folder }) => folder.name));
  const host = new Database(settings);
  try {
    const work = async ({ writer }: FencedWriter): Promise<string[]> => {
      const now = await decide(place, await readKnown(writer));
      const gone: string[] = [];
      for (const { folder, goes } of now) {
        if (signal.aborted) throw stopped(gone, directory);
        if (!goes || !shownOnes.has(folder.name)) continue;
        if (await removeBackup(folder)) {
          gone.push(folder.name);
          say(`removed ${shown(folder.name)}`);
        } else say(`kept ${shown(folder.name)}: somebody has just begun to read it`);
      }
      return gone;
    };
    const removed = await write(host, known.here, "nothing more was removed", work, signal);
    return { removed, bytes };
  } finally {
    await host.close();
  }
}

function stopped(gone: readonly string[], directory: string): GuardianError {
  return new GuardianError("interrupted", {
    what: `stopped; removed before that: ${gone.length > 0 ? gone.map(shown).join(", ") : "nothing"}`,
    where: directory,
    todo: "run it again to remove the others",
  });
}

async function decide({ directory, backup }: Place, known: KnownLedger): Promise<Fate[]> {
  const { count, age } = backup.keep;
  return choose(await readBackups(directory), { ...known, keep: { count, ageSeconds: age } });
}

function rowOf({ folder, goes, why }: Fate): Record<string, string | number> {
  const MB = Math.round(folder.bytes / 1e5) / 10;
  return { "": goes ? "remove" : "keep", id: shown(folder.name), MB, why: shown(why) };
}

function refusal(why: GuardianError | undefined, directory: string): GuardianError {
  return new GuardianError("prune-refused", {
    what: `the ledger, which says what relies on which backup, ${why ? `cannot be read: ${why.what}` : "was not asked"}; nothing was removed`,
    where: why?.where ?? directory,
    todo: [
      ...(why?.todo ?? ["name the stack whose backups they are: --stack NAME"]),
      "if that database is gone for good, these may be all that is left of it: restore one first, and delete by hand what is not needed",
    ],
  });
}
