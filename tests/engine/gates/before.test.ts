import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { allModules } from "../../../components/plan";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { runCheck, type Outcome } from "../../../engine/gates/check";
import { decide, type Decision } from "../../../engine/gates/decide";
import { transactionsOver } from "../../../engine/gates/before/transactions";
import { clientFolder } from "../../../scripts/pg-clients";
import { withClient } from "../../../scripts/v6/database";
import { major, server, withEmpty, withV6, type Login } from "../../support/postgres";
import { settingsOf, withEngine } from "../module/harness";
import { asked as askedBy, declared as base, line } from "./asked";
import { lastly } from "../../support/lastly";

describe("gates: before the first module", function () {
  this.timeout(120_000);
  let declared = base;
  before(async () => {
    declared = {
      ...base,
      env: { ...process.env, GUARDIAN_PG_BIN: await clientFolder(major) },
      backup: { ...base.backup, directory: join(tmpdir(), "guardian-gates") },
    };
  });
  const asked = (login: Login, name: string, by = declared): Promise<Outcome> => askedBy(login, name, by);

  it("19-3 takes no index that another role builds for a broken one, and no hidden rows for none", () =>
    withV6(async (db) => {
      const [admin, builder] = [await db.connect("admin"), await db.connect("admin")];
      await admin.query(
        "CREATE INDEX documents_broken ON public.documents (status); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.documents_broken'::regclass",
      );
      expect((await asked(db.migrator, "indexes")).verdict).to.equal("warned");
      await builder.query("BEGIN; LOCK TABLE public.documents IN SHARE UPDATE EXCLUSIVE MODE");
      expect((await asked(db.migrator, "indexes")).verdict).to.equal("passed");
      await builder.query("ROLLBACK");
      const user = `reader_${db.name}`;
      await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD 'of-no-worth'; GRANT pg_read_all_data TO ${user}`);
      const found = await lastly(asked({ ...db.migrator, user, password: "of-no-worth" }, "volumes"), () =>
        admin.query(`DROP ROLE ${user}`),
      );
      expect(found.verdict, found.evidence.join("; ")).to.equal("could not run");
    }));

  it("19-3 sees transactions that are open for too long, and says when it may not see others'", () =>
    withV6(async (db) => {
      expect(await asked(db.migrator, "transactions")).to.deep.include({ verdict: "could not run" });
      expect(await asked(db.admin, "transactions")).to.deep.include({ verdict: "passed" });
      const client = await db.connect();
      await client.query("BEGIN; SELECT 1");
      const host = new Database(settingsOf(db.admin));
      const over = async (seconds: number): Promise<string> =>
        line(await runCheck(transactionsOver(seconds), host, declared));
      try {
        expect(await over(0)).to.match(/^warned: backend \d+, guardian_migrator \(test\): open for \d+ s$/);
        expect(await over(300)).to.match(/^passed/);
      } finally {
        await host.close();
      }
    }));

  it("19-3 takes an empty database for no v6", () =>
    withEmpty(async (db) => {
      const found = await asked(db.admin, "v6");
      expect(line(found)).to.match(/^failed: missing: table auth\.users; missing: table public\.documents; /);
      expect(found.mend?.join()).to.match(/check host, port and database name/);
    }));

  it("19-3 finds a v7 that is there already, and whose ledger is not", () =>
    withEngine(
      async (_engine, db) => {
        expect((await asked(db.migrator, "v7")).verdict, "its own").to.equal("not applicable");
        const admin = await db.connect("admin");
        await admin.query("DROP SCHEMA guardian_migration CASCADE");
        expect(line(await asked(db.migrator, "v7"))).to.match(
          /^failed: .* is there already, and no module of this stack made it; .* and \d\d\d more$/,
        );
      },
      { modules: allModules() },
    ));

  it("19-3 knows of which version a database's collations, and those of its columns, are", async () => {
    const { admin, host, port, user, password } = await server();
    const database = `icu_${process.pid}`;
    await admin.query(`CREATE DATABASE ${database} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'`);
    const login = { host, port, user, password, database };
    const said = async (): Promise<string> => line(await asked(login, "collations"));
    try {
      expect(await said()).to.match(/^passed: version [\d.]+, as the system's$/);
      await withClient(login, (client) =>
        client.query(
          `CREATE TABLE public.sorted (name text COLLATE "und-x-icu");
           UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'und-x-icu'`,
        ),
      );
      await admin.query("UPDATE pg_database SET datcollversion = '0.2' WHERE datname = $1", [database]);
      expect(await said()).to.match(
        /^failed: the database is of version 0\.2, the system has [\d.]+; .*und-x-icu.* is of version 0\.1, the system has [\d.]+$/,
      );
    } finally {
      await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
    }
  });

  it("19-3 finds what an earlier run left half done, and a backup that nobody restored", () =>
    withEngine(
      async (engine, db) => {
        expect((await asked(db.migrator, "unfinished")).verdict).to.equal("passed");
        expect((await asked(db.migrator, "backup")).verdict).to.equal("not applicable");
        const admin = await db.connect("admin");
        await admin.query(
          `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
           SELECT $1, '', 'Backup', id, 1, 'done', 1, 1, $2::jsonb FROM guardian_migration.ledger
           UNION ALL SELECT $3, '', 'SqlModule', id, 1, 'running', 1, 1, '{}'::jsonb FROM guardian_migration.ledger`,
          [
            engine.urn("Backup", "backup"),
            JSON.stringify({ path: "/nowhere", takenAt: "2026-01-01 00:00:00+00", protects: { "003_x": "meant" } }),
            engine.urn("SqlModule", "003_x"),
          ],
        );
        expect(await asked(db.migrator, "backup")).to.deep.include({ verdict: "warned" });
        await admin.query(
          `UPDATE guardian_migration.step SET detail = detail || '{"protects": {}}' WHERE kind = 'Backup'`,
        );
        expect((await asked(db.migrator, "backup")).verdict, "nothing is to come").to.equal("not applicable");
        const { verdict, evidence } = await asked(db.migrator, "unfinished");
        expect([verdict, ...evidence]).to.deep.equal(["warned", "003_x is running"]);
      },
      { modules: ["000_audit_log"] },
    ));

  /** Decides by what a failed check says now. @param known what was accepted before; absent: it is accepted now */
  const decided = async (login: Login, check: string, known: Decision["accepted"] = {}): Promise<Decision> => {
    const outcome = await asked(login, check);
    expect(outcome.verdict, line(outcome)).to.equal("failed");
    const rules = { gate: "before", accept: { [check]: "it is looked after" } } as const;
    return decide(gates.before, [outcome], rules, known, "2026-01-01");
  };
  const worse = ({ stops }: Decision): string[] => stops.flatMap(({ since }) => since?.worse ?? []);

  it("19-3 what is accepted of its neighbours are those: another in the place of one voids it, fewer and what only warns do not", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const now = (known?: Decision["accepted"]): Promise<Decision> => decided(db.migrator, "neighbours", known);
      await admin.query("CREATE PUBLICATION one FOR ALL TABLES; CREATE PUBLICATION two FOR ALL TABLES");
      const { accepted, stops } = await now();
      expect(stops).to.deep.equal([]);
      await admin.query("GRANT CREATE ON SCHEMA public TO anon");
      expect((await now(accepted)).stops, "a warning more").to.deep.equal([]);
      await admin.query("DROP PUBLICATION one");
      expect((await now(accepted)).stops, "fewer").to.deep.equal([]);
      await admin.query("CREATE PUBLICATION three FOR ALL TABLES");
      expect(worse(await now(accepted))).to.deep.equal([
        "neighbours: others than then: Publication: three: FOR ALL TABLES: new tables would join it",
      ]);
    }));

  it("19-3 what is accepted of v6 is each fault, those too that are not told: another in the place of the ninth voids it, fewer do not", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const now = (known?: Decision["accepted"]): Promise<Decision> => decided(db.migrator, "v6", known);
      const open = (name: string) => admin.query(`CREATE POLICY ${name} ON public.patient_vitals USING (true)`);
      const drop = (name: string) => admin.query(`DROP POLICY ${name} ON public.patient_vitals`);
      for (const name of "abcdefghijk") await open(name);
      const { accepted, stops } = await now();
      expect(stops).to.deep.equal([]);
      expect(accepted["v6"]?.evidence.at(-1)).to.equal("and 3 more");
      await drop("k");
      await open("l");
      expect(worse(await now(accepted))).to.deep.equal([
        'v6: others than then: policy "l" shows users every row of public.patient_vitals',
      ]);
      await drop("l");
      expect((await now(accepted)).stops, "fewer").to.deep.equal([]);
    }));

  it("19-3 what is accepted of rights and of the backup's are those that were lacking: another in the place of one voids it, fewer do not", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const user = `without_${db.name}`;
      const login = { ...db.migrator, user, password: "of-no-worth" };
      await admin.query(`CREATE ROLE ${user} LOGIN BYPASSRLS PASSWORD 'of-no-worth';
        GRANT USAGE ON SCHEMA public, auth TO ${user};
        GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO ${user}`);
      const drop = () => admin.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
      const told = async (): Promise<void> => {
        const revoke = (tables: string) => admin.query(`REVOKE SELECT ON ${tables} FROM ${user}`);
        const grant = (tables: string) => admin.query(`GRANT SELECT ON ${tables} TO ${user}`);
        for (const check of ["rights", "backup-room"]) {
          await revoke("public.documents, public.patient_vitals");
          const { accepted, stops } = await decided(login, check);
          expect(stops, check).to.deep.equal([]);
          await grant("public.documents");
          expect((await decided(login, check, accepted)).stops, `${check}, fewer`).to.deep.equal([]);
          await revoke("public.documents, public.patient_allergies");
          await grant("public.patient_vitals");
          const now = worse(await decided(login, check, accepted));
          expect(now, check).to.have.length(1);
          expect(now[0]).to.match(new RegExp(`^${check}: others than then: [^,]*patient_allergies[^,]*$`));
          await grant("public.documents, public.patient_allergies");
        }
      };
      await lastly(told(), drop);
    }));
});
