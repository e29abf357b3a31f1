import { createHash } from "node:crypto";

/** How far the migration is: not there or destroyed, its tables without its rows, all of it. */
export type Stand = "v6" | "schema" | "v7";

export const victims = ["CLI", "plugin", "backend", "server"] as const;
export type Victim = (typeof victims)[number] | "scratch";

/** One intended kill. */
export interface Kill {
  victim: Victim;
  /** The instant is drawn from the data stage alone, not from the whole operation. */
  inData: boolean;
  /** The instant is drawn from the proof of the backup alone; where none is made, as if it were not said. */
  inProof: boolean;
  /** Where in that time, from 0 to 1. */
  at: number;
}

/** What operation number n does. */
export interface Choice {
  to: Stand;
  /** Drop the database and begin with a fresh v6 and a fresh stack before it. */
  fresh: boolean;
  /** The kill of the first try and, at times, those of the next ones: what goes on after a kill is killed again. */
  kills: Kill[];
}

/** A number from 0 to below 1 that follows from the seed and the names alone, however often and in what order it is asked. */
export function chance(seed: string, ...names: (string | number)[]): number {
  const digest = createHash("sha256")
    .update([seed, ...names].join("\0"))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

/**
 * All choices of one operation. They depend on the seed and the operation's number, not on what became of the ones before, but
 * for where those left the migration.
 * @param proof whether backups are proven
 */
export function choose(seed: string, n: number, stand: Stand, proof = false): Choice {
  const next = chance(seed, n, "next");
  const fresh = stand === "v7" && next >= 0.9;
  const to: Stand = fresh || stand === "v6" ? "v7" : stand === "schema" ? (next < 0.5 ? "v7" : "v6") : lower(next);
  const again = chance(seed, n, "again");
  const tries = again < 0.2 ? 3 : again < 0.5 ? 2 : 1;
  return { to, fresh, kills: Array.from({ length: tries }, (_, i) => kill(seed, n, i, proof)) };
}

function lower(next: number): Stand {
  return next < 0.4 ? "schema" : "v6";
}

function kill(seed: string, n: number, attempt: number, proof: boolean): Kill {
  const all: readonly Victim[] = proof ? [...victims, "scratch"] : victims;
  const victim = all[Math.floor(chance(seed, n, attempt, "victim") * all.length)] ?? "CLI";
  const inProof = proof && (victim === "scratch" || chance(seed, n, attempt, "in proof") < 0.4);
  const inData = !inProof && chance(seed, n, attempt, "in data") < 0.5;
  return { victim, inData, inProof, at: chance(seed, n, attempt, "at") };
}
