import { expect } from "chai";
import { Client } from "pg";
import { allModules } from "../../../components/plan";
import { gates } from "../../../engine/gates";
import type { Outcome, Site } from "../../../engine/gates/check";
import { summarize } from "../../../engine/gates/criteria/summary";
import { signOffs } from "../../../spec/sign-offs";
import { withEngine } from "../module/harness";
import { major, withEmpty, withV6 } from "../../support/postgres";
import { skip } from "../../support/skip";
import { applied, asked, line, replace } from "./asked";

describe("gates: what was overlooked", function () {
  this.timeout(120_000);

  it("19-3 says how an extension is made that v6's defaults call", () =>
    withV6(async (db) => {
      expect(line(await asked(db.migrator, "extensions"))).to.equal("passed: uuid-ossp installed");
      await (await db.connect("admin")).query('DROP EXTENSION "uuid-ossp" CASCADE');
      expect((await asked(db.migrator, "extensions")).mend?.join()).to.match(/^CREATE EXTENSION "uuid-ossp"/);
    }));

  it("19-3 takes what modules of this stack made for no v7 of somebody's own", () =>
    withEngine(
      async (_engine, db) =>
        expect(line(await asked(db.migrator, "v7"))).to.match(/^passed: none of \d+ objects is there$/),
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
