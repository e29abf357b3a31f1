import { expect } from "chai";
import type { Client } from "pg";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { runCheck, type Check, type Declared, type Outcome } from "../../../engine/gates/check";
import { allModules } from "../../../components/plan";
import { settingsOf, withAdmin } from "../module/harness";
import type { Login, V6 } from "../../support/postgres";

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

/** A v6 with accounts and documents on which every module is applied. */
export const applied = (test: (db: V6, admin: Client) => Promise<void>): Promise<void> =>
  withAdmin(async (_engine, admin, db) => test(db, admin), { modules: allModules() });

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
