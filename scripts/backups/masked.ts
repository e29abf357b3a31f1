import { maskBackup, readRules, type MaskedBackup, type Rules } from "../../engine/mask";
import type { FoundBackup } from "../../engine/backup";
import { figure } from "../demo/table";

/** What was typed about masking. */
interface Typed {
  masked: boolean;
  rules: string | undefined;
  live: string | undefined;
  table: string | undefined;
}

/**
 * @param wrong makes the error for wrong use
 * @returns the rules of a masked restore, read before anything is done; undefined for another
 */
export function rulesOf({ masked, rules, live, table }: Typed, wrong: (what: string) => Error): Rules | undefined {
  if (!masked && rules !== undefined) throw wrong("--rules goes with --masked; nothing was done");
  if (!masked) return undefined;
  if (live !== undefined) throw wrong("What is masked goes into no live database: leave out --live; nothing was done");
  if (table !== undefined) throw wrong("--masked restores a whole backup: leave out --table; nothing was done");
  return readRules(rules === undefined ? [] : [rules]);
}

/** Masks a backup, and says how far it is. */
export function mask(
  backup: FoundBackup,
  rules: Rules,
  { say, signal, env }: { say: (line: string) => void; signal: AbortSignal; env: NodeJS.ProcessEnv },
): Promise<MaskedBackup> {
  say("masking it, before anything goes to a server");
  let last = Date.now();
  const onProgress = ({ tables, of, rows }: { tables: number; of: number; rows: number }): void => {
    if (tables < of && Date.now() < last + 10_000) return;
    last = Date.now();
    say(`masked ${figure(rows)} rows of ${tables} of ${of} tables`);
  };
  return maskBackup(backup, { rules, signal, env, onProgress, onWarning: say });
}

/**
 * What is to be said of a masked restore besides.
 * @param shared the database that it went into though it was not empty
 */
export const maskedReport = ({ empty }: MaskedBackup, shared: string | undefined): string[] => [
  ...(shared === undefined ? [] : [`what was in ${shared} before is not masked, and is there still`]),
  ...(empty.length > 0 ? [`without their rows: ${empty.join(", ")}`] : []),
  "settings of roles and of the database, user mappings and subscriptions were left out; large objects are empty",
  "it is pseudonymised, not anonymous: treat it as patients' data (docs/masking.md)",
];
