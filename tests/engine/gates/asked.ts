import { expect } from "chai";
import type { Client } from "pg";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { runCheck, type Check, type Declared, type Outcome } from "../../../engine/gates/check";
import { settingsOf } from "../module/harness";
import type { Login } from "../../support/postgres";

export const declared: Declared = {
  env: process.env,
  backup: { directory: "/nowhere", maxAge: 3600, verify: "restore" },
  publications: [],
  operators: [],
  limits: { maxDataLoss: 0.001, warnSlowdown: 0.1, maxSlowdown: 0.25 },
  strict: false,
  signOff: {},
  endpoints: [],
};

/** Every check of every gate, once. */
export const all: readonly Check[] = [...new Set<Check>(Object.values(gates).flat())];

/** What a check says, asked by a login. */
export async function asked(login: Login, name: string, by = declared): Promise<Outcome> {
  const check = all.find((one) => one.name === name);
  if (!check) throw new Error(`there is no check ${name}`);
  const host = new Database(settingsOf(login));
  try {
    return await runCheck(check, host, by);
  } finally {
    await host.close();
  }
}

/** As one line, for a comparison that shows all of it. */
export const line = ({ verdict, evidence }: Outcome): string => `${verdict}: ${evidence.join("; ")}`;

/**
 * Has a function of v7 with one part of its definition in another's place.
 * @returns the SQL by which it is as it was
 */
export async function replace(admin: Client, routine: string, [part, by]: readonly [string, string]): Promise<string> {
  const text = "SELECT pg_get_functiondef(to_regprocedure($1)) AS text";
  const was = (await admin.query<{ text: string }>(text, [routine])).rows[0]?.text ?? "";
  expect(was, routine).to.include(part);
  await admin.query(was.replace(part, by));
  return was;
}

/** A fault that somebody plants by SQL, as the superuser, and what the check says of it. */
export interface Planted {
  check: string;
  fault: string;
  says: RegExp;
  plant: string;
  /** SQL that undoes it; absent: it is taken back in the same transaction by the next copy of the database. */
  undo: string;
}

/** Each fault is found by its check, which passes before; the last of its verdicts is not "passed". */
export async function eachIsFound(admin: Client, login: Login, faults: readonly Planted[]): Promise<void> {
  const before = new Map<string, string>();
  for (const { check, fault, says, plant, undo } of faults) {
    if (!before.has(check)) before.set(check, line(await asked(login, check)));
    expect(before.get(check), `${check}, before`).to.match(/^passed/);
    await admin.query(plant);
    const found = await asked(login, check).finally(() => admin.query(undo));
    expect(line(found), `${check}: ${fault}`).to.match(says);
    expect(found.verdict, fault).not.to.equal("passed");
  }
}
