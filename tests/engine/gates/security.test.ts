import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { Database } from "../../../engine/database";
import { runCheck } from "../../../engine/gates/check";
import { decide, type Decision } from "../../../engine/gates/decide";
import { sampledUsersWithin } from "../../../engine/gates/security/sampled-users";
import { settingsOf, withEngine } from "../module/harness";
import { major, type V6 } from "../../support/postgres";
import { until } from "../../support/processes";
import { main as grants } from "../../../scripts/grants";
import { all, asked, declared, line } from "./asked";
import { rowsOfMany } from "./faults/security";
import { lastly } from "../../support/lastly";

/** Waits until somebody has waited for a lock on the table, and waits no more: its time was over. */
async function givenUp(admin: Client): Promise<void> {
  const waiting = async (): Promise<string | undefined> => {
    const { rows } = await admin.query<{ since: string }>(
      "SELECT waitstart::text AS since FROM pg_locks WHERE relation = 'public.notification_queue'::regclass AND waitstart IS NOT NULL",
    );
    return rows[0]?.since;
  };
  let first: string | undefined;
  await until("a lock is waited for", async () => (first = await waiting()) !== undefined);
  await until("it is given up", async () => (await waiting()) !== first);
}

describe("gates: security", function () {
  this.timeout(120_000);

  const applied = (test: (db: V6, admin: Client) => Promise<void>): Promise<void> =>
    withEngine(
      async (_engine, db) => {
        const admin = await db.connect("admin");
        await admin.query(rowsOfMany);
        await test(db, admin);
      },
      { modules: allModules() },
    );

  it("19-6 sampled users are told by counts, and no id or value is in the evidence", () =>
    applied(async (db) => {
      const { verdict, evidence, figures } = await asked(db.migrator, "sampled-users");
      expect([verdict, figures?.["wrong"]]).to.deep.equal(["passed", 0]);
      expect(figures?.["users"]).to.be.at.least(8);
      expect(figures?.["rowsSeen"]).to.be.at.least(8 * 3);
      expect(figures?.["ownTables"]).to.be.within(4, 10);
      expect(evidence[0]).to.match(/^\d+ users see their own rows of \d tables, \d+ in all, and nobody else's of \d+$/);
      expect(evidence.join()).not.to.match(/[0-9a-f]{8}-|@|a word/);
    }));

  it("19-6 sampled users are not asked for by turns where a table gave one of them no answer in time, nor for long in all", () =>
    applied(async (db, admin) => {
      await admin.query(
        `ALTER POLICY notification_queue_own ON public.notification_queue USING (pg_catalog.pg_sleep(3)::text = 'never')`,
      );
      const slow = await asked(db.migrator, "sampled-users");
      expect(line(slow)).to.equal('could not run: no answer: "public"."notification_queue" (not in 2 s)');
      // Eight accounts at least, for 2 s each.
      expect(slow.seconds).to.be.below(16);
      const host = new Database(settingsOf(db.migrator));
      const none = await lastly(runCheck(sampledUsersWithin(0), host, declared), () => host.close());
      expect(line(none)).to.match(/^could not run: no answer: "[^ ]+ \(not asked: 0 s were over\), .* and \d+ more$/);
      expect(none.figures).to.deep.include({ rowsSeen: 0, wrong: 0 });
    }));

  it("19-6 sampled users of the other tables are asked for where the owners of one are not found in time", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.notification_queue");
      const done = givenUp(admin).then(() => admin.query("COMMIT"));
      const found = await asked(db.migrator, "sampled-users");
      await done;
      expect(line(found)).to.equal(
        'could not run: no answer: "public"."notification_queue" (whom to ask for: not in 2 s)',
      );
      expect(found.again, "the next up asks again").to.equal(true);
      expect(found.figures?.["rowsSeen"]).to.be.at.least(8 * 3);
    }));

  it("19-6 asks as a stranger, and sees a policy that lets him through", () =>
    applied(async (db, admin) => {
      const whole = await asked(db.migrator, "strangers");
      expect(line(whole)).to.match(
        /^passed: \d+ tables and roles asked, no row seen; no row is there to be seen of public\./,
      );
      await admin.query("DELETE FROM public.user_preferences");
      const fewer = await asked(db.migrator, "strangers");
      expect(fewer.figures?.["empty"]).to.equal(Number(whole.figures?.["empty"]) + 1);
      await admin.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users");
      const leak = (using: string) =>
        admin.query(
          `DROP POLICY IF EXISTS leak ON public.user_preferences; CREATE POLICY leak ON public.user_preferences FOR SELECT TO authenticated USING (${using})`,
        );
      // A right that is lacking shows nobody anything; what else fails is no answer.
      await admin.query("CREATE TABLE public.hidden (id int)");
      await leak("EXISTS (SELECT FROM public.hidden)");
      expect(await asked(db.migrator, "strangers")).to.deep.include({ verdict: "passed" });
      await leak("1 / pg_backend_pid() * 0 = 1 / (pg_backend_pid() - pg_backend_pid())");
      const failing = await asked(db.migrator, "strangers");
      expect([failing.verdict, failing.evidence.join()].join(" ")).to.match(/^could not run .*authenticated \(22012\)/);
      expect(failing.again, "what does not pass by itself is not asked again").to.equal(undefined);
      await leak("true");
      const { verdict, evidence } = await asked(db.migrator, "strangers");
      expect([verdict, ...evidence]).to.deep.equal([
        "failed",
        'authenticated who is a stranger sees rows of "public"."user_preferences"',
      ]);
    }));

  /** By check: faults of which no evidence tells the last, and how each is planted and undone. */
  const planted: Record<string, readonly [plant: (name: string) => string, undo: (name: string) => string]> = {
    "row-security": [
      (name) => `CREATE POLICY ${name} ON public.user_preferences FOR SELECT TO authenticated USING (true)`,
      (name) => `DROP POLICY ${name} ON public.user_preferences`,
    ],
    definitions: [
      (name) => `CREATE POLICY ${name} ON public.user_preferences FOR SELECT TO authenticated USING (false)`,
      (name) => `DROP POLICY ${name} ON public.user_preferences`,
    ],
    functions: [
      (name) => `CREATE DOMAIN public.${name} AS text;
        CREATE FUNCTION public.my_feature_flags(public.${name}) RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
      (name) => `DROP DOMAIN public.${name} CASCADE`,
    ],
    views: [
      (name) =>
        `CREATE VIEW public.${name} AS SELECT id FROM public.patient_consents; GRANT SELECT ON public.${name} TO anon`,
      (name) => `DROP VIEW public.${name}`,
    ],
    permissions: [
      (name) => `GRANT SELECT (${name}) ON public.patient_consents TO supabase_auth_admin`,
      (name) => `REVOKE SELECT (${name}) ON public.patient_consents FROM supabase_auth_admin`,
    ],
  };

  it("19-6 what is accepted is each fault, those too that are not told: another in the place of the tenth voids it", () =>
    applied(async (db, admin) => {
      const { rows } = await admin.query<{ name: string }>(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'public.patient_consents'::regclass AND attnum > 0 ORDER BY attnum LIMIT 11",
      );
      for (const [check, [plant, undo]] of Object.entries(planted)) {
        const names =
          check === "permissions"
            ? rows.map(({ name }) => name)
            : Array.from("abcdefghijk", (letter) => `leak_${letter}`);
        const decided = async (before: Decision["accepted"] = {}): Promise<Decision> => {
          const outcome = await asked(db.migrator, check);
          expect(outcome.verdict, line(outcome)).to.equal("failed");
          const rules = { gate: "schema", accept: { [check]: "known" } } as const;
          return decide(all, [outcome], rules, before, "2026-01-01");
        };
        const [tenth, other] = names.slice(-2) as [string, string];
        for (const name of names.slice(0, -1)) await admin.query(plant(name));
        const { accepted, stops } = await decided();
        expect(stops, check).to.deep.equal([]);
        await admin.query(undo(tenth));
        await admin.query(plant(other));
        const { stops: now } = await decided(accepted);
        expect(now[0]?.since?.worse.join(), check).to.match(new RegExp(`^${check}: others than then: .*${other}`));
        await admin.query(undo(other));
        expect((await decided(accepted)).stops, `${check}, fewer`).to.deep.equal([]);
        for (const name of names.slice(0, -2)) await admin.query(undo(name));
      }
    }));

  it("19-6 without membership in the API's roles it could not run, and says what lists the missing GRANTs", () =>
    applied(async (db, admin) => {
      await admin.query("REVOKE anon, authenticated FROM guardian_migrator");
      try {
        for (const name of ["strangers", "sampled-users"]) {
          const { verdict, evidence, mend } = await asked(db.migrator, name);
          expect([verdict, ...evidence]).to.deep.equal([
            "could not run",
            "this role is no member of anon, authenticated",
          ]);
          expect(mend?.join()).to.match(/npm run grants -- --gates/);
        }
        // Function is tried all the same, and it is said how.
        expect(line(await asked(db.migrator, "consent-flow"))).to.match(/^passed: .*asked with the owner's rights/);
        const printed: string[] = [];
        const to = { print: (text: string) => void printed.push(...text.split("\n")), say: () => undefined };
        const of = ["--role", "guardian_migrator", "--database", db.name, "--server", String(major)];
        expect(await grants(of, to)).to.equal(0);
        expect(
          printed.filter((text) => /^-- GRANT (anon|authenticated) TO "guardian_migrator"/.test(text)),
        ).to.have.length(2);
        printed.length = 0;
        expect(await grants([...of, "--gates"], to)).to.equal(0);
        for (const text of printed.filter((one) => /^GRANT (anon|authenticated) /.test(one))) await admin.query(text);
        for (const name of ["strangers", "sampled-users"])
          expect(line(await asked(db.migrator, name)), name).to.match(/^passed/);
      } finally {
        await admin.query(
          "REVOKE anon, authenticated FROM guardian_migrator; GRANT anon, authenticated TO guardian_migrator",
        );
      }
    }));
});
