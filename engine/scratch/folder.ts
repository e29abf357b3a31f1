import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../base/errors";
import { isGone, ownMark, type ProcessMark } from "../base/process";
import { lookAt, type Place } from "../backup/place";
import { give, type Account } from "../server/account";
import { clusterIn, temporaryBase } from "../server/cluster";
import { runningPid, stopPid } from "../server/stop";

/** What a scratch server's folder is called, with six letters after it. */
const prefix = "guardian-scratch-";
const ownerFile = "owner.json";

/** A socket's whole path has at most 107 bytes on Linux and 103 on macOS (unix(7), sys/un.h). */
const longest = 103 - "/.s.PGSQL.5432".length;

/** A folder without an owner's note that is so old was left in the middle of its making, or of its removal. */
const unownedMs = 10 * 60_000;

/** Places for temporary files, the user's own choice first; each once. */
const bases = (): string[] => [...new Set([tmpdir(), "/var/tmp", "/tmp"])];

/**
 * Chooses where a scratch server may lie: a place that its user can enter, where a socket's path is short enough and the
 * bytes fit; on a disk rather than in memory, unless TMPDIR says so. Writes nothing but a folder of our own.
 *
 * @param bytes that will be written there
 * @throws GuardianError with the free bytes of each place
 */
export async function chooseBase(account: Account | undefined, bytes: number): Promise<string> {
  const seen: { base: string; place: Place }[] = [];
  for (const one of bases()) {
    const base = temporaryBase(account, one);
    if (Buffer.byteLength(join(base, `${prefix}XXXXXX`)) > longest || seen.some((it) => it.base === base)) continue;
    const place = await lookAt(base).catch(() => undefined);
    if (place) seen.push({ base, place });
  }
  const chosen = process.env["TMPDIR"];
  const later = ({ base, place }: (typeof seen)[number]): number => Number(place.inMemory && base !== chosen);
  const fit = seen.filter(({ place }) => place.free >= bytes).sort((a, b) => later(a) - later(b));
  if (fit[0]) return fit[0].base;
  throw new GuardianError("disk-too-small", {
    what: `there is too little room to restore the backup: ${mebi(bytes)} are needed`,
    where: seen.map(({ base, place }) => `${base}: ${mebi(place.free)} free`).join("; ") || bases().join(", "),
    todo: [
      "free space in one of them",
      "set TMPDIR to a folder on a larger disk, with a short name",
      "name a server of your own that has room: guardian:scratch",
    ],
  });
}

const mebi = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024).toLocaleString("en")} MiB`;

/** Makes a folder (0700) for the account that notes who works with it. */
export function makeScratchFolder(base: string, account: Account | undefined): string {
  const folder = mkdtempSync(join(base, prefix));
  const note = join(folder, ownerFile);
  writeFileSync(note, JSON.stringify(ownMark()), { mode: 0o600, flag: "wx" });
  give(account, note, folder);
  return folder;
}

/**
 * Ends the servers and removes the folders of runs that were killed with all that watched over them: patients' data is
 * in them. What belongs to a living process, another user or another machine stays.
 *
 * @returns the folders that should have gone and are left
 */
export async function removeLeftovers(account: Account | undefined): Promise<string[]> {
  const users = [process.getuid?.(), account?.uid];
  const left: string[] = [];
  for (const base of new Set(bases().flatMap((one) => [one, temporaryBase(account, one)]))) {
    for (const name of entries(base)) {
      const folder = join(base, name);
      if (!name.startsWith(prefix) || !isLeftover(folder, users)) continue;
      if (!(await removeFolder(folder))) left.push(folder);
    }
  }
  return left;
}

function entries(base: string): string[] {
  try {
    return readdirSync(base);
  } catch {
    return [];
  }
}

function isLeftover(folder: string, users: readonly (number | undefined)[]): boolean {
  try {
    const found = lstatSync(folder);
    if (!found.isDirectory() || !users.includes(found.uid)) return false;
    const owner = ownerOf(folder);
    return owner ? isGone(owner) === true : Date.now() - found.mtimeMs > unownedMs;
  } catch {
    return false; // gone meanwhile, or not ours to look into
  }
}

function ownerOf(folder: string): ProcessMark | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, ownerFile), "utf8")) as ProcessMark;
  } catch {
    return undefined;
  }
}

async function removeFolder(folder: string): Promise<boolean> {
  try {
    const pid = runningPid(clusterIn(folder));
    if (pid !== undefined) await stopPid(pid);
    // The note last: who is killed in the midst of this leaves a folder that is known for what it is.
    for (const name of readdirSync(folder)) {
      if (name !== ownerFile) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 3 });
    }
    rmSync(join(folder, ownerFile), { force: true });
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
