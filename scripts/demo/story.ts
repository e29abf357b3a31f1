import { compareFingerprints } from "../../engine/fingerprint/compare";
import type { Fingerprint } from "../../engine/fingerprint/types";
import type { Aside, DemoDatabase } from "./database";
import type { DemoEngine } from "./engine";
import type { Output } from "./output";
import * as show from "./show";
import { figure } from "./table";

/** The last line with --json. Seconds are those of the engine's operation alone; counts are of custom resources. */
export interface Result {
  users: number;
  preview: { creates: number; wroteNothing: boolean };
  up: { seconds: number; resources: number };
  /** Of the backup that was taken before: whether restoring it gave the same database, and how long that took. */
  proof: { verdict: string; restoreSeconds: number };
  moved: { consents: number; preferences: number };
  again: { changes: number };
  rollback: { identical: boolean; seconds: number };
}

export interface Parts {
  database: DemoDatabase;
  engine: DemoEngine;
  out: Output;
  /** Drops archive and ledger as `npm run purge` does; absent: they stay. */
  purge: (() => Promise<void>) | undefined;
}

/** The story itself, from v6 to v7 and back. @returns the result, and what did not hold, a line each */
export async function tell({ database, engine, out, purge }: Parts): Promise<{ result: Result; faults: string[] }> {
  const faults: string[] = [];
  const must = (held: boolean, fault: string): void => {
    if (held) return;
    out.say(`✗ ${fault}`);
    faults.push(fault);
  };
  const application = async (when: string): Promise<void> => {
    const { steps, failures } = await database.application();
    out.say(`the v6 application ${when}: ${steps - failures.length} of ${steps} steps work`);
    for (const failure of failures) must(false, `${when}: ${failure}`);
    asBefore &&= failures.length === 0;
  };
  let asBefore = true;

  out.table("What is in it:", await database.with(show.v6Rows));
  await application("on v6");
  const before = await database.fingerprint("archive and ledger aside");
  out.say(`fingerprint taken: ${about(before)}`);

  out.heading("pulumi preview: what would happen, and nothing does");
  const { value: preview, differences } = await database.untouched(() => engine.operation("preview"));
  out.say(
    `${preview.creates} resources would be made; the database is untouched: ${differences.length === 0 ? "yes" : "no"}`,
  );
  for (const difference of differences) must(false, `the preview wrote: ${difference}`);

  out.heading("pulumi up: v6 becomes v7");
  const up = await engine.operation("up");
  out.say(`${up.resources} resources in ${up.seconds} s`);
  const proof = await database.with(show.proof);
  out.say(`the backup, before anything else: ${proof.verdict}, restored in ${proof.restoreSeconds} s and compared`);
  must(proof.verdict === "proven", `the backup is ${proof.verdict}`);
  const moved = await database.with(show.countMoved);
  out.table(
    `Consents: ${figure(moved.consents)}, users older than a day: ${figure(moved.settled)}`,
    await database.with(show.consents),
  );
  must(moved.consents === moved.settled, `${moved.consents} consents for ${moved.settled} users older than a day`);
  out.table(
    `Preferences: ${figure(moved.preferences)}, users: ${figure(moved.users)}; by language:`,
    await database.with(show.preferences),
  );
  must(moved.preferences === moved.users, `${moved.preferences} preferences for ${moved.users} users`);
  out.table("Flags, and the users for whom they are on:", await database.with(show.flags));
  out.table("The session's row:", await database.with(show.session));
  await application("beside v7");

  out.heading("pulumi up again: there is nothing to do");
  const again = await engine.operation("up");
  out.say(`${again.changes} changes`);
  must(again.changes === 0, `a second up changed ${again.changes} resources`);

  out.heading("pulumi config set guardian:through schema, pulumi up: the last two stages go back");
  const did = await database.with(show.useV7);
  out.say(`meanwhile, in v7: ${did.join(", ")}\n`);
  engine.set("through", "schema");
  await engine.operation("up");
  out.table("The migration's rows are gone; those that people changed stay:", await database.with(show.stayed));
  out.table("The session's row:", await database.with(show.session));
  await application("without data and flags");

  out.heading("pulumi destroy: v7 goes");
  const rollback = await engine.operation("destroy");

  out.heading("Is it as it was?");
  const compare = async (aside: Aside): Promise<void> => {
    const after = await database.fingerprint(aside);
    const found = compareFingerprints(before, after);
    for (const { text } of found) must(false, `not as it was: ${text}`);
    asBefore &&= found.length === 0;
    out.say(`identical: ${asBefore ? "yes" : "no"}, ${aside}`);
    out.say(`  compared: ${about(after)}`);
  };
  await application("after the rollback");
  await compare("archive and ledger aside");
  out.table(
    "Rows of people and the account of what happened wait in the archive for the next up:",
    await database.with(show.archive),
  );
  out.table("The ledger:", await database.with(show.ledger));
  if (purge) {
    out.heading("npm run purge: archive and ledger go too");
    await purge();
    await compare("nothing aside");
  }

  const result = {
    users: moved.users,
    preview: { creates: preview.creates, wroteNothing: differences.length === 0 },
    up: { seconds: up.seconds, resources: up.resources },
    proof,
    moved: { consents: moved.consents, preferences: moved.preferences },
    again: { changes: again.changes },
    rollback: { identical: asBefore, seconds: rollback.seconds },
  };
  return { result, faults };
}

/** What a fingerprint takes in, in numbers. */
function about({ facts }: Fingerprint): string {
  const count = (kinds: readonly string[]): number =>
    kinds.reduce((sum, kind) => sum + Object.keys(facts[kind] ?? {}).length, 0);
  const kinds = Object.keys(facts);
  const dumped = kinds.filter((kind) => kind === kind.toUpperCase()); // pg_dump's kinds are in capitals
  const tables = Object.values(facts["table rows"] ?? {});
  const rows = tables.reduce((sum, value) => sum + Number.parseInt(value, 10), 0);
  const roles = ["role", "role membership"];
  const named = [...dumped, ...roles, "table rows"];
  const others = count(kinds.filter((kind) => !named.includes(kind)));
  return (
    `${count(dumped)} entries of pg_dump's schema, the content of ${tables.length} tables (${figure(rows)} rows),` +
    ` ${count(roles)} roles and memberships, ${others} settings, rights, triggers and other facts`
  );
}
