import { expect } from "chai";
import { Client } from "pg";
import { allModules } from "../../../components/plan";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import type { Outcome, Site } from "../../../engine/gates/check";
import { summarize } from "../../../engine/gates/criteria/summary";
import { foresee } from "../../../engine/gates/judge";
import { gateChecks } from "../../../spec/gates";
import { signOffs } from "../../../spec/sign-offs";
import { settingsOf, withEngine } from "../module/harness";
import { major, withEmpty, withV6, type Login, type V6 } from "../../support/postgres";
import { skip } from "../../support/skip";
import { asked, declared, line, replace } from "./asked";
import { onV6, onV7, type Planted } from "./faults/overlooked";

/** Each fault is found by its check, which passes before; what it says then is not "passed". */
async function eachIsFound(admin: Client, login: Login, faults: readonly Planted[]): Promise<void> {
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

/** What the gate before, with these checks, would stop an `up` with. */
async function stopping(login: Login, checks: readonly string[]): Promise<string | undefined> {
  const host = new Database(settingsOf(login));
  const asking = { host, signal: new AbortController().signal, onAsk: () => undefined };
  return foresee({ gate: "before", checks, judges: {}, declared }, asking, {})
    .then(({ refusal }) => refusal?.message)
    .finally(() => host.close());
}

describe("gates: what was overlooked", function () {
  this.timeout(120_000);

  const applied = (test: (db: V6, admin: Client) => Promise<void>): Promise<void> =>
    withEngine(async (_engine, db) => test(db, await db.connect("admin")), { modules: allModules() });

  it("19-3 finds what a v6 lacks that has all of its tables and columns", () =>
    withV6(async (db) => eachIsFound(await db.connect("admin"), db.migrator, onV6)));

  it("19-3 stops where an extension is missing that v6's defaults call", () =>
    withV6(async (db) => {
      const names: readonly string[] = gateChecks.before.filter((name) => name !== "backup-room");
      expect(line(await asked(db.migrator, "extensions"))).to.equal("passed: uuid-ossp installed");
      await (await db.connect("admin")).query('DROP EXTENSION "uuid-ossp" CASCADE');
      const found = await asked(db.migrator, "extensions");
      expect(line(found)).to.equal("failed: uuid-ossp missing");
      expect(found.mend?.join()).to.match(/^CREATE EXTENSION "uuid-ossp"/);
      expect(await stopping(db.migrator, names)).to.match(/^gate before: 1 of \d+ checks did not pass \(extensions\)/);
      const others = names.filter((name) => name !== "extensions");
      expect(await stopping(db.migrator, others), "without the check").to.equal(undefined);
    }));

  it("19-3 stops where a v7 is there already, or somebody's own of its names", () =>
    withEngine(
      async (_engine, db) => {
        const admin = await db.connect("admin");
        expect(line(await asked(db.migrator, "v7"))).to.match(/^passed: none of \d+ objects is there$/);
        await admin.query("CREATE TABLE public.patient_consents (id int)");
        expect(line(await asked(db.migrator, "v7"))).to.equal(
          "failed: table public.patient_consents is there already, and no module of this stack made it",
        );
        const names: readonly string[] = gateChecks.before.filter((name) => name !== "backup-room");
        expect(await stopping(db.migrator, names)).to.match(/^gate before: 1 of \d+ checks did not pass \(v7\)/);
        const others = names.filter((name) => name !== "v7");
        expect(await stopping(db.migrator, others), "without the check").to.equal(undefined);
      },
      { modules: allModules().slice(0, 2) },
    ));

  it("19-3 warns where nobody recorded by which version of a collation indexes were built", async () => {
    const answers = [[{ recorded: null, actual: "2.36" }], []];
    const query = () => Promise.resolve({ rows: answers.shift() ?? [] });
    const found = await gates.before
      .find(({ name }) => name === "collations")
      ?.run({ db: { query } } as unknown as Site);
    expect(`${found?.verdict ?? ""}: ${found?.evidence.join("; ") ?? ""}`).to.equal(
      "warned: by which version the database's indexes were built is not known; the system has 2.36",
    );
  });

  it("19-3 tells no volume of a database without v6", () =>
    withEmpty(async (db) => {
      const found = await asked(db.admin, "volumes");
      expect(line(found)).to.equal("could not run: this database has no table of v6's");
    }));

  it("19-3 could not run where it may not see how far a standby is behind", () =>
    withV6(async (db) => {
      expect(line(await asked(db.migrator, "replication"))).to.match(/^passed/);
      // A sender of the log, with a name as a standby's.
      const replication = { replication: "true", application_name: "standby" };
      const standby = new Client({ ...db.admin, ...replication });
      await standby.connect();
      try {
        expect(line(await asked(db.migrator, "replication"))).to.equal(
          "could not run: this role does not see how far 1 of 1 standbys are behind",
        );
        expect(line(await asked(db.admin, "replication"))).to.match(/^passed: .*1 standbys, 1 of which are idle/);
      } finally {
        await standby.end();
      }
    }));

  it("19-6 finds what row security, functions and rights are, and not what they are called", () =>
    applied(async (db, admin) => {
      // Of each table somebody else has rows, as where an application has worked for long; of the last one two alone.
      await admin.query(`
        INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users ON CONFLICT DO NOTHING;
        INSERT INTO public.notification_queue (user_id, notification_type, title, body)
          SELECT id, 'security_alert', 'of ' || row_number() OVER (), 'a word' FROM auth.users ORDER BY id DESC;
        INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, consent_evidence)
          SELECT id, 'data_sharing', 'healthcare_services', true, 'consent', '{"form": 1}' FROM auth.users ORDER BY md5(id::text);
        INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier)
          SELECT id, 'email', 'a@example.org' FROM auth.users ORDER BY id OFFSET 150 LIMIT 1`);
      await eachIsFound(admin, db.migrator, onV7);
    }));

  it("19-6 says of which tables nobody sampled has a row: that they would see it is not proven", () =>
    applied(async (db) => {
      const { verdict, evidence, figures } = await asked(db.migrator, "sampled-users");
      expect([verdict, figures?.["ownTables"], figures?.["rowsSeen"]]).to.deep.equal(["passed", 0, 0]);
      expect(evidence[1]).to.match(/^nobody sampled has a row of public\..* and \d+ more$/);
    }));

  it("19-6 could not run as a role from which policies hide rows: it would be told that nobody has any", () =>
    applied(async (db, admin) => {
      await admin.query("ALTER ROLE guardian_migrator NOBYPASSRLS");
      try {
        for (const name of ["sampled-users", "consent-flow"])
          expect(line(await asked(db.migrator, name)), name).to.match(/^could not run: .*SQLSTATE 42501/);
      } finally {
        await admin.query("ALTER ROLE guardian_migrator BYPASSRLS");
      }
    }));

  it("19-6 finds a right to maintain a table, which PostgreSQL 17 has", function () {
    if (major < 17) skip(this, "MAINTAIN came with PostgreSQL 17");
    return applied(async (db, admin) => {
      await admin.query("GRANT MAINTAIN ON public.patient_consents TO authenticated");
      expect(line(await asked(db.migrator, "permissions"))).to.match(
        /^failed: authenticated may MAINTAIN "public"\."patient_consents", which docs\/permissions\.md does not give$/,
      );
    });
  });

  it("19-8 does not take some of the modules for all of them", () =>
    withEngine(
      async (_engine, db) => {
        const { verdict, evidence, figures } = await asked(db.migrator, "definitions");
        expect([verdict, figures?.["modules"], figures?.["lackingModules"]]).to.deep.equal([
          "warned",
          3,
          allModules().length - 3,
        ]);
        expect(evidence[0]).to.match(/^\d of \d+ modules are not applied: 003_fhir_integration, /);
      },
      { modules: allModules().slice(0, 3) },
    ));

  it("19-4 says of rows that could not be moved how many may be, and tells the worst migration first", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        for (const [name, failed] of [
          ["a_whole", 0],
          ["z_partly", 5],
        ] as const)
          await admin.query(
            `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch, detail)
             SELECT $1, 'DataMigration', id, 1, 'done', 1, $2::jsonb FROM guardian_migration.ledger`,
            [
              engine.urn("DataMigration", name),
              JSON.stringify({ source: "1000", equal: `${1000 - failed}`, failed, leftOut: {} }),
            ],
          );
        const found = await asked(db.migrator, "moved");
        expect(line(found)).to.match(
          /^failed: z_partly: 1000 rows offered, 995 written and equal, 5 could not be moved; a_whole:/,
        );
        expect(found.mend?.[1]).to.equal("more than 0.001 of a migration's rows stops up (guardian:gates.maxDataLoss)");
      },
      { modules: ["000_audit_log"] },
    ));

  it("19-8 has a figure for each criterion that the catalogue answers, or somebody by name", () =>
    applied(async (db) => {
      expect(line(await asked(db.migrator, "v7"))).to.equal("not applicable: every module of this release is applied");
      const outcomes: Outcome[] = [];
      for (const { name, cost } of gates.end)
        if (cost === "catalogue" || name in signOffs) outcomes.push(await asked(db.migrator, name));
      const answers = summarize(outcomes).flatMap(({ answers: of }) => of);
      const open = answers.filter(({ verdict }) => verdict !== "could not run" && verdict !== "not applicable");
      expect(open.length).to.be.above(10);
      expect(open.filter(({ figures }) => figures === undefined).map(({ check }) => check)).to.deep.equal([]);
    }));

  it("19-7 finds a function that writes to a partition of v6's, or to what inherits from it", () =>
    applied(async (db, admin) => {
      await admin.query(
        `CREATE TABLE public.allergies_old () INHERITS (public.patient_allergies);
         GRANT ALL ON public.allergies_old TO guardian_migrator`,
      );
      await replace(admin, "public.complete_document_work(uuid, uuid, jsonb, numeric, boolean)", [
        "PERFORM public.advance_document_run(",
        "INSERT INTO public.allergies_old (id, allergen, source_document_ids) VALUES (pg_catalog.gen_random_uuid(), 'x', '{}'); PERFORM public.advance_document_run(",
      ]);
      expect(line(await asked(db.migrator, "document-pipeline"))).to.equal(
        "failed: public.allergies_old was written to, and rolled back",
      );
    }));

  it("19-7 says that it does not know what was written where the server counts nothing", () =>
    applied(async (db, admin) => {
      await admin.query(`ALTER DATABASE ${db.name} SET track_counts = off`);
      expect(line(await asked(db.migrator, "consent-flow"))).to.match(
        /^warned: whether v6 was written to is not known: track_counts is off/,
      );
    }));

  it("19-7 waits 50 ms for the emergency rollback's own tables too, whose function waits for 10 s", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.migration_sessions IN SHARE MODE");
      const found = await asked(db.migrator, "operations");
      await admin.query("ROLLBACK");
      expect(line(found)).to.match(
        /^could not run: so is the table of sessions, .*: somebody holds a lock, SQLSTATE 55P03$/,
      );
    }));
});
