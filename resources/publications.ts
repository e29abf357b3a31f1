import type { Note } from "../engine/base/plan";
import type { Queryable } from "../engine/base/sql";
import { isOpen, openPublications, readPublications, scopeOf } from "../engine/neighbours/publications";
import { sqlName } from "../engine/base/names";
import type { Database } from "../engine/database";

/** What the program accepts, as it told the assessment: a preview changes no ledger that could be asked. */
const told = new WeakMap<Database, readonly string[]>();

/** Notes what the program of this run accepts. */
export function noteAccepted(host: Database, names: readonly string[]): void {
  told.set(host, names);
}

/** @returns what the program of this run accepts, as far as it said so */
export const acceptedByProgram = (host: Database): readonly string[] => told.get(host) ?? [];

/**
 * @param accepted names of publications that new tables may join
 * @throws GuardianError naming the others, and what to do with each
 */
export async function refuseOpenPublications(db: Queryable, accepted: readonly string[]): Promise<void> {
  const refusal = await openPublications(db, accepted);
  if (refusal) throw refusal;
}

/** @returns what preview says of publications that new tables would join: what up would refuse, with its ways out */
export async function publicationNotes(db: Queryable, accepted: readonly string[]): Promise<Note[]> {
  const refusal = await openPublications(db, accepted);
  const joined = (await readPublications(db)).filter((one) => isOpen(one) && accepted.includes(one.name));
  const texts = joined.map(
    (one) => `new tables join publication ${sqlName(one.name)} (${scopeOf(one)}), which is accepted`,
  );
  return [
    ...texts.map((text) => ({ severity: "info", text }) as const),
    ...(refusal ? [{ severity: "warning", text: `up will refuse this: ${refusal.message}` } as const] : []),
  ];
}
