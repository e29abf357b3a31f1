import { first, type Queryable } from "../../base/sql";
import { ledgerFormat, ledgerTable } from "../schema";
import { facts } from "./002_facts";
import { renamed } from "./003_renamed";

/** One step of the ledger's format: from the one before it to the next. What schema.ts makes anew is the same. */
interface FormatStep {
  /** The format that it leads to. */
  to: number;
  /** What is different then, for people. */
  what: string;
  /** Objects that it alters, as module.yaml would list them. */
  alters: readonly string[];
  sql: string;
}

/** Every step there was since format 1, in their order. A step that was released is never changed. */
export const formatSteps: readonly FormatStep[] = [facts, renamed];

/** @returns what raising the ledger from a format would do, for people; undefined where nothing is to be raised */
export function describeRaise(from: number): string | undefined {
  const what = formatSteps.filter(({ to }) => to > from).map((step) => step.what);
  return what.length > 0 ? `the ledger's format goes from ${from} to ${ledgerFormat}: ${what.join("; ")}` : undefined;
}

/** @returns the ledger's tables that raising it from a format alters */
export const alteredFrom = (from: number): readonly string[] =>
  formatSteps.filter(({ to }) => to > from).flatMap((step) => step.alters);

/** Brings the ledger up to this product's format, in the open transaction; an older product refuses it from then on. */
export async function raiseFormat(db: Queryable): Promise<void> {
  const ledger = ledgerTable("ledger");
  const row = await first<{ format: number }>(db, `SELECT format FROM ${ledger} FOR UPDATE`);
  for (const step of formatSteps.filter(({ to }) => to > (row?.format ?? ledgerFormat))) {
    await db.script(step.sql);
    await db.query(`UPDATE ${ledger} SET format = $1`, [step.to]);
  }
}
