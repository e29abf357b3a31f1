import { Database } from "../../../../engine/database";
import { runCheck, type Declared, type Outcome } from "../../../../engine/gates/check";
import type { Login } from "../../../support/postgres";
import { settingsOf } from "../../module/harness";
import { all, declared as base } from "../asked";

export const declared: Declared = {
  ...base,
  env: { API_HEADER: "Authorization: Bearer of-a-patient", BROKEN_HEADER: "of-a-patient" },
};

/** What checks say, by name; asked as the migrator. */
export async function asked(login: Login, names: readonly string[], by: Partial<Declared>, before: Outcome[] = []) {
  const host = new Database(settingsOf(login));
  try {
    const outcomes: Outcome[] = [];
    for (const name of names) {
      const check = all.find((one) => one.name === name);
      if (!check) throw new Error(`there is no check ${name}`);
      outcomes.push(
        await runCheck(check, host, { ...declared, ...by }, new Map(before.map((one) => [one.check, one]))),
      );
    }
    return outcomes;
  } finally {
    await host.close();
  }
}
