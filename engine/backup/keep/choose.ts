import type { DatabaseIdentity } from "../../ledger/identity";
import { microseconds } from "../adopt";
import { ownName, type BackupFolder } from "./read";
import { provenBy, type Relied } from "./relied";

/** How many backups are kept, and how long: the newest so many, and all that are younger (guardian:backup.keep). */
export interface Keep {
  readonly count: number;
  readonly ageSeconds: number;
}

/** What becomes of a folder, and why. */
export interface Fate {
  readonly folder: BackupFolder;
  readonly goes: boolean;
  readonly why: string;
}

/** Whether a backup is of this ledger and database, under whatever name that had. */
export function isOf({ manifest }: BackupFolder, here: DatabaseIdentity, formerNames: readonly string[] = []): boolean {
  const server = manifest?.server;
  return (
    manifest?.ledgerId === here.ledgerId &&
    server?.systemIdentifier === here.systemIdentifier &&
    [here.database, ...formerNames].includes(server.database)
  );
}

/**
 * Decides which folders may go. What is not plainly ours, and not plainly of no use any more, stays.
 * @param folders the oldest first
 * @param now the server's clock, as text: manifests have its times
 */
export function choose(
  folders: readonly BackupFolder[],
  about: { keep: Keep; relied: Relied; here: DatabaseIdentity; formerNames: readonly string[]; now: string },
): Fate[] {
  const { keep, relied, here, formerNames, now } = about;
  const mine = folders.filter((one) => one.state === "whole" && isOf(one, here, formerNames)).reverse();
  const verdict = (one: BackupFolder): string => provenBy(one, relied)?.verdict ?? "";
  const refuted = (one: BackupFolder): boolean => verdict(one) === "not proven";
  const last = ["proven", "partly proven"].map((word) => mine.find((one) => verdict(one) === word));
  const newest = new Set(mine.filter((one) => !refuted(one)).slice(0, keep.count));
  // Of several that read one backup the one that surely lives counts, and no dead one.
  const reading = ["unclear", "under way"].flatMap((state) => folders.filter((one) => one.state === state));
  const readers = new Map(reading.flatMap((one) => (one.reads === undefined ? [] : [[one.reads, one] as const])));
  return folders.map((folder) => {
    const stays = (why: string): Fate => ({ folder, goes: false, why });
    const { state, name, manifest, reads } = folder;
    if (state === "left behind") {
      const half = ownName(name) === name ? "half-written" : "half removed";
      return { folder, goes: true, why: `${half} by a run that was killed` };
    }
    if (state === "under way") return stays(reads === undefined ? "it is being written" : `its run reads ${reads}`);
    if (state === "unclear")
      return stays(
        reads === undefined
          ? "half-written, and whose it is cannot be told from here"
          : `its run reads ${reads}, or did; whether it lives cannot be told from here`,
      );
    if (state === "other") return stays("no backup");
    if (!manifest) return stays(`broken, for inspection: ${folder.why ?? ""}`);
    if (!isOf(folder, here, formerNames))
      return stays(`of another ledger or database: ${manifest.server.database}, ledger ${manifest.ledgerId}`);
    if (state === "broken") return stays(`broken, for inspection: ${folder.why ?? ""}`);
    const on = relied.on.get(ownName(name));
    if (on !== undefined) return stays(`relied on by ${on}`);
    const taken = microseconds(manifest.startedAt);
    if (relied.unfinished.some((began) => microseconds(began) <= taken))
      return stays("a run that was cut off may have made it, and the next up takes it");
    if (last.includes(folder)) return stays(`the last one that is ${verdict(folder)}`);
    if (newest.has(folder)) return stays(`among the newest ${keep.count}`);
    if (microseconds(now) - taken <= BigInt(keep.ageSeconds) * 1_000_000n) return stays("young");
    const reader = readers.get(name) ?? readers.get(ownName(name));
    if (reader?.state === "under way") return stays("it is being read");
    if (reader?.state === "unclear")
      return stays(`it is being read, or was: by ${reader.name}; remove that, if its run is gone`);
    return {
      folder,
      goes: true,
      why: refuted(folder) ? "old, and a proof refuted it" : "old, and newer ones are there",
    };
  });
}
