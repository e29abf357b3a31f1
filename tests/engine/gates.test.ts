import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { Database } from "../../engine/database";
import { gates } from "../../engine/gates";
import { foresee, type WantedGate } from "../../engine/gates/judge";
import { readinessOf, runCheck, type Check, type Declared, type Outcome, type Site } from "../../engine/gates/check";
import { main } from "../../scripts/gates";
import { all, asked as askedBy, declared as base } from "./gates/asked";
import { settingsOf, withEngine } from "./module/harness";
import { clientFolder } from "../../scripts/pg-clients";
import { major, withV6, type Login, type V6 } from "../support/postgres";
import { gateChecks, type Gate } from "../../spec/gates";
import { allModules } from "../../components/plan";

let env: NodeJS.ProcessEnv = process.env;
const declared: Declared = {
  ...base,
  get env() {
    return env;
  },
  backup: { ...base.backup, directory: join(tmpdir(), "guardian-gates") },
};

/** As the file's own stack declares it, unless told otherwise. */
const asked = (login: Login, name: string, by = declared): Promise<Outcome> => askedBy(login, name, by);

/** What a gate with these checks would stop an `up` with; undefined: it lets it pass. */
async function stopping(login: Login, gate: Gate, checks: readonly string[]): Promise<string | undefined> {
  const host = new Database(settingsOf(login));
  const wanted: WantedGate = { gate, checks, judges: {}, declared };
  const asking = { host, signal: new AbortController().signal, onAsk: () => undefined };
  try {
    return (await foresee(wanted, asking, {})).refusal?.message;
  } finally {
    await host.close();
  }
}

/** A fault that somebody planted, what the check says of it, and what undoes it. */
interface Planted {
  check: string;
  /** Others that see it too. */
  also?: readonly string[];
  fault: string;
  says: RegExp;
  verdict: Outcome["verdict"];
  plant: (admin: Client, db: V6) => Promise<unknown>;
  undo: (admin: Client, db: V6) => Promise<unknown>;
}

const sql = (text: string) => (admin: Client) => admin.query(text);

/** Others' sessions in a database. */
let crowd: Client[] = [];

const onV6: Planted[] = [
  {
    check: "v6",
    fault: "a policy dropped and row security off",
    verdict: "failed",
    says: /public.patient_vitals lacks row security/,
    plant: sql("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY"),
    undo: sql("ALTER TABLE public.patient_vitals ENABLE ROW LEVEL SECURITY"),
  },
  {
    check: "v6",
    fault: "a column that is called otherwise",
    verdict: "failed",
    says: /missing: column status of public.documents/,
    plant: sql("ALTER TABLE public.documents RENAME COLUMN status TO state"),
    undo: sql("ALTER TABLE public.documents RENAME COLUMN state TO status"),
  },
  {
    check: "rights",
    fault: "a right taken away that only up needs",
    verdict: "warned",
    says: /lacks 1 right, which up needs/,
    plant: sql("REVOKE REFERENCES ON auth.users FROM guardian_migrator"),
    undo: sql("GRANT REFERENCES ON auth.users TO guardian_migrator"),
  },
  {
    check: "rights",
    also: ["backup-room"],
    fault: "a table that may not be read",
    verdict: "failed",
    says: /lacks \d+ rights?$/,
    plant: sql("REVOKE SELECT ON auth.users FROM guardian_migrator"),
    undo: sql("GRANT SELECT ON auth.users TO guardian_migrator"),
  },
  {
    check: "volumes",
    fault: "another schema with a table of the same name, in other letters",
    verdict: "warned",
    says: /staging\."Documents" is called like a table of v6/,
    plant: sql('CREATE SCHEMA staging; CREATE TABLE staging."Documents" (id int)'),
    undo: sql("DROP SCHEMA staging CASCADE"),
  },
  {
    check: "replication",
    fault: "a slot that nobody reads",
    verdict: "warned",
    says: /slot forgotten_\d+ keeps \d+ MB of WAL, and nobody reads it/,
    plant: async (admin, db) => {
      await admin.query("SELECT pg_create_physical_replication_slot('forgotten_' || $1, true)", [
        db.name.split("_").at(-1),
      ]);
      await admin.query(
        "CREATE TABLE public.wal AS SELECT i FROM generate_series(1, 1000) i; DROP TABLE public.wal; CHECKPOINT",
      );
    },
    undo: (admin, db) =>
      admin.query("SELECT pg_drop_replication_slot('forgotten_' || $1)", [db.name.split("_").at(-1)]),
  },
  {
    check: "neighbours",
    fault: "a publication of all tables",
    verdict: "failed",
    says: /Publication: everything: FOR ALL TABLES: new tables would join it/,
    plant: sql("CREATE PUBLICATION everything FOR ALL TABLES"),
    undo: sql("DROP PUBLICATION everything"),
  },
  {
    check: "indexes",
    fault: "an invalid index",
    verdict: "warned",
    says: /"public"\."documents_broken" on documents is invalid/,
    plant: sql(
      "CREATE INDEX documents_broken ON public.documents (status); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.documents_broken'::regclass",
    ),
    undo: sql("DROP INDEX public.documents_broken"),
  },
  {
    check: "bloat",
    fault: "more dead rows than living ones",
    verdict: "warned",
    says: /public\.patient_allergies: 12\d{3} dead rows beside/,
    plant:
      sql(`INSERT INTO public.patient_allergies (user_id, allergen, source_document_ids) SELECT (SELECT min(id::text)::uuid FROM auth.users), 'dust', '{}' FROM generate_series(1, 12000);
      DELETE FROM public.patient_allergies WHERE allergen = 'dust'; SELECT pg_stat_force_next_flush()`),
    undo: (admin) => admin.query("VACUUM public.patient_allergies"),
  },
  {
    check: "connections",
    fault: "a limit of the role that leaves no room",
    verdict: "failed",
    says: /of the role's -?\d/,
    plant: sql("ALTER ROLE guardian_migrator CONNECTION LIMIT 3"),
    undo: sql("ALTER ROLE guardian_migrator CONNECTION LIMIT -1"),
  },
  {
    check: "connections",
    fault: "a database that others' sessions fill",
    verdict: "failed",
    says: /of the database's own limit [0-3],|of the database's own limit [0-3]$/,
    plant: async (admin, db) => {
      await admin.query(`ALTER DATABASE ${db.name} CONNECTION LIMIT 12`);
      crowd = await Promise.all(Array.from({ length: 8 }, () => db.connect("admin")));
    },
    undo: async (admin, db) => {
      await Promise.all(crowd.map((one) => one.end()));
      await admin.query(`ALTER DATABASE ${db.name} CONNECTION LIMIT -1`);
    },
  },
  {
    check: "collations",
    fault: "a collation of another version",
    verdict: "failed",
    says: /the database is of version 0\.1, the system has/,
    plant: sql("UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()"),
    undo: sql(
      "UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid) WHERE datname = current_database()",
    ),
  },
];

const onV7: Planted[] = [
  {
    check: "definitions",
    fault: "a policy changed by hand",
    verdict: "failed",
    says: /policy .*patient_consents.* was changed by hand/,
    plant: async (admin) => {
      const { rows } = await admin.query<{ name: string }>(
        "SELECT quote_ident(polname) AS name FROM pg_policy WHERE polrelid = 'public.patient_consents'::regclass AND polcmd IN ('r', '*') ORDER BY 1 LIMIT 1",
      );
      // Not (true): of that row-security speaks too.
      const always = "USING (patient_id IS NOT NULL)";
      await admin.query(`ALTER POLICY ${rows[0]?.name ?? ""} ON public.patient_consents ${always}`);
    },
    undo: () => Promise.resolve(),
  },
  {
    check: "row-security",
    also: ["definitions"],
    fault: "row security off",
    verdict: "failed",
    says: /"public"\."patient_consents" has row security off/,
    plant: sql("ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY"),
    undo: sql("ALTER TABLE public.patient_consents ENABLE ROW LEVEL SECURITY"),
  },
  {
    check: "row-security",
    also: ["definitions"],
    fault: "a policy for everybody",
    verdict: "failed",
    says: /policy "leak" of "public"\."patient_consents" is for PUBLIC/,
    plant: sql("CREATE POLICY leak ON public.patient_consents USING (true)"),
    undo: sql("DROP POLICY leak ON public.patient_consents"),
  },
  {
    check: "functions",
    also: ["definitions"],
    fault: "an overload that PUBLIC may call",
    verdict: "failed",
    says: /check_patient_consent\(integer\) may be called by PUBLIC|\(integer\) has no pinned search_path/,
    plant: async (admin) => {
      const { rows } = await admin.query<{ name: string }>(
        "SELECT p.oid::regproc::text AS name FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef ORDER BY 1 LIMIT 1",
      );
      await admin.query(
        `CREATE FUNCTION public.${rows[0]?.name ?? ""}(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
      );
      await admin.query("SELECT set_config('test.overload', $1, false)", [rows[0]?.name]);
    },
    undo: async (admin) => {
      const { rows } = await admin.query<{ name: string }>("SELECT current_setting('test.overload') AS name");
      await admin.query(`DROP FUNCTION public.${rows[0]?.name ?? ""}(integer)`);
    },
  },
  {
    check: "views",
    also: ["definitions"],
    fault: "somebody's view over consents, for anon",
    verdict: "failed",
    says: /"public"\."reporting" shows patient_consents to anon/,
    plant: sql(
      "CREATE VIEW public.reporting AS SELECT * FROM public.patient_consents; GRANT SELECT ON public.reporting TO anon",
    ),
    undo: sql("DROP VIEW public.reporting"),
  },
  {
    check: "views",
    also: ["definitions"],
    fault: "a view over somebody's view, a column of it for anon",
    verdict: "failed",
    says: /"public"\."reporting" shows patient_consents to anon/,
    plant: sql(
      "CREATE VIEW public.inner_one AS SELECT * FROM public.patient_consents; CREATE VIEW public.reporting AS SELECT * FROM public.inner_one; REVOKE ALL ON public.reporting, public.inner_one FROM PUBLIC, anon, authenticated; GRANT SELECT (id) ON public.reporting TO anon",
    ),
    undo: sql("DROP VIEW public.reporting, public.inner_one"),
  },
  {
    check: "views",
    also: ["definitions"],
    fault: "somebody's view through which authenticated deletes consents",
    verdict: "failed",
    says: /"public"\."reporting" shows patient_consents to authenticated/,
    plant: sql(
      "CREATE VIEW public.reporting AS SELECT * FROM public.patient_consents; REVOKE ALL ON public.reporting FROM PUBLIC, anon, authenticated; GRANT DELETE ON public.reporting TO authenticated",
    ),
    undo: sql("DROP VIEW public.reporting"),
  },
];

async function plantedIn(db: V6, gate: Gate, faults: readonly Planted[]): Promise<void> {
  const admin = await db.connect("admin");
  const names: readonly string[] = gateChecks[gate];
  for (const { check, also = [], fault, says, verdict, plant, undo } of faults) {
    const before = await asked(db.migrator, check);
    expect(before.verdict, `${check}, before ${fault}: ${before.evidence.join("; ")}`).not.to.equal(verdict);
    await plant(admin, db);
    const rest = names.filter((name) => name !== check && !also.includes(name));
    let [whole, without]: (string | undefined)[] = [];
    const found = await asked(db.migrator, check);
    try {
      if (verdict === "failed")
        [whole, without] = [await stopping(db.migrator, gate, names), await stopping(db.migrator, gate, rest)];
    } finally {
      await undo(admin, db);
    }
    // 19-1: a gate without the check lets pass what the whole one stops at.
    if (verdict === "failed") {
      expect(whole, fault).to.match(new RegExp(`^gate ${gate}: .*\\b${check}\\b.*\\[gate-failed\\]`));
      expect(without, `${fault}, without the check ${check}: ${without ?? ""}`).to.equal(undefined);
    }
    expect(`${found.verdict}: ${found.evidence.join("; ")}`, `${check}: ${fault}`).to.match(says);
    expect(found.verdict, fault).to.equal(verdict);
  }
}

describe("gates", function () {
  this.timeout(120_000);
  before(async () => {
    env = { ...process.env, GUARDIAN_PG_BIN: await clientFolder(major) };
  });

  it("19-1 has a name for each check, and each once", () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[a-z][a-z0-9-]*$/);
  });

  it("19-1 has every check of a gate under the name that the program declares, and in that order", () => {
    const names = Object.fromEntries(Object.entries(gates).map(([gate, of]) => [gate, of.map(({ name }) => name)]));
    expect(names).to.deep.equal(gateChecks);
  });

  it("19-1 has a check that could not run for a warning, and never for passed", () => {
    const of = (...verdicts: Outcome["verdict"][]) => readinessOf(verdicts.map((verdict) => ({ verdict })));
    expect(of("passed", "not applicable")).to.equal("ready");
    expect(of("passed", "could not run")).to.equal("ready with warnings");
    expect(of("warned", "passed")).to.equal("ready with warnings");
    expect(of("could not run", "failed")).to.equal("not ready");
  });

  it("19-1 tells why a check could not run, without a row's value, and goes on", () =>
    withV6(async (db) => {
      const host = new Database(settingsOf(db.migrator));
      const broken: Check = {
        name: "broken",
        asks: "",
        cost: "catalogue",
        run: async ({ db: session }) => {
          await session.query("SELECT ($1::text)::int", ["secret of a patient"]);
          throw new Error("not reached");
        },
      };
      try {
        const said = await runCheck(broken, host, declared);
        expect(said.verdict).to.equal("could not run");
        expect(said.evidence.join())
          .to.match(/22P02/)
          .and.not.match(/secret/);
        expect((await runCheck(gates.before[0], host, declared)).verdict).to.equal("passed");
      } finally {
        await host.close();
      }
    }));

  it("19-3 finds each fault that was planted in a v6, and not before", () =>
    withV6((db) => plantedIn(db, "before", onV6)));

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
      const found = await asked({ ...db.migrator, user, password: "of-no-worth" }, "volumes").finally(() =>
        admin.query(`DROP ROLE ${user}`),
      );
      expect(found.verdict, found.evidence.join("; ")).to.equal("could not run");
    }));

  it("19-3 sees transactions that are prepared and left, and says when it may not see others'", () =>
    withV6(async (db) => {
      expect(await asked(db.migrator, "transactions")).to.deep.include({ verdict: "could not run" });
      expect(await asked(db.admin, "transactions")).to.deep.include({ verdict: "passed" });
    }));

  it("19-3 asks for room for a backup where it would be written", () =>
    withV6(async (db) => {
      expect((await asked(db.migrator, "backup-room")).verdict).to.equal("passed");
      const nowhere = { ...declared, env, backup: { ...declared.backup, directory: "/dev/null/backups" } };
      const { verdict, evidence } = await asked(db.migrator, "backup-room", nowhere);
      expect(verdict, evidence.join()).to.equal("failed");
    }));

  // A server whose pages are damaged, or whose transaction ids run out, would take the other tests' with it.
  it("19-3 judges by what the server says of transaction ids, damaged pages and memberships", async () => {
    const saying = async (name: string, ...answers: object[][]): Promise<string> => {
      const query = () => Promise.resolve({ rows: answers.shift() ?? [] });
      const site = { db: { query, script: () => Promise.resolve() }, host: undefined, declared };
      const found = await all.find((one) => one.name === name)?.run(site as unknown as Site);
      return `${found?.verdict ?? ""}: ${found?.evidence.join("; ") ?? ""}`;
    };
    expect(await saying("wraparound", [{ xid: 900_000_000, multi: 5 }])).to.match(/^passed/);
    expect(await saying("wraparound", [{ xid: 1_100_000_000, multi: 5 }])).to.match(/^warned: .* 1100 million/);
    expect(await saying("wraparound", [{ xid: 5, multi: 2_000_000_000 }])).to.match(/^failed/);
    const asWho = [[{ there: true }], [{ name: "public.x" }], [{ role: "anon" }]] as const;
    expect(await saying("strangers", ...asWho.map((rows) => [...rows]))).to.match(/^could not run: .* member of anon/);
    expect(await saying("checksums", [{ on: "on" }], [])).to.match(/^passed/);
    expect(await saying("checksums", [{ on: "off" }])).to.match(/^warned/);
    const failures = [{ name: "guardian", failures: "3", last: null }];
    expect(await saying("checksums", [{ on: "on" }], failures)).to.match(/^failed: guardian: 3/);
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

  it("19-6 finds each fault that was planted in a v7, and not before", () =>
    withEngine((_engine, db) => plantedIn(db, "schema", [...onV7.slice(1), ...onV7.slice(0, 1)]), {
      modules: allModules(),
    }));

  it("19-6 asks as a stranger, and sees a policy that lets him through", () =>
    withEngine(
      async (_engine, db) => {
        const admin = await db.connect("admin");
        await admin.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
        expect(await asked(db.migrator, "strangers")).to.deep.include({ verdict: "passed" });
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
        expect([failing.verdict, failing.evidence.join()].join(" ")).to.match(
          /^could not run .*authenticated \(22012\)/,
        );
        await leak("true");
        const { verdict, evidence } = await asked(db.migrator, "strangers");
        expect([verdict, ...evidence]).to.deep.equal([
          "failed",
          'authenticated who is a stranger sees rows of "public"."user_preferences"',
        ]);
      },
      { modules: allModules() },
    ));

  it("19-2 is a command: what is ready, exit codes, one object on the last line", () =>
    withV6(async (db) => {
      const folder = mkdtempSync(join(tmpdir(), "guardian-gates-"));
      const { host, port, user, password, database } = db.migrator;
      writeFileSync(
        join(folder, "Pulumi.night.yaml"),
        `config:\n  guardian:through: schema\n  guardian:database: {host: ${host}, port: ${port}, user: ${user}, database: ${database}}\n`,
      );
      const run = async (...args: string[]): Promise<{ code: number; said: string; printed: string[] }> => {
        const [said, printed]: [string[], string[]] = [[], []];
        const around = {
          clone: folder,
          env: { ...env, PGPASSWORD: password },
          say: (line: string) => void said.push(line),
          print: (line: string) => void printed.push(line),
        };
        const code = await main(["--stack", "night", ...args], around);
        return { code, said: said.join("\n"), printed };
      };
      try {
        const ready = await run("--json", "--stage", "before");
        const told = JSON.parse(ready.printed[0] ?? "") as { verdict: string; checks: Outcome[] };
        expect(told.checks.map(({ check }) => check)).to.deep.equal(gates.before.map(({ name }) => name));
        expect([ready.code, told.verdict], ready.said).to.deep.equal([3, "ready with warnings"]);
        expect(ready.said).to.match(/could not run {3}transactions: .*\n +→ GRANT pg_read_all_stats/);
        const admin = await db.connect("admin");
        await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
        const broken = await run();
        expect([broken.code, broken.printed], broken.said).to.deep.equal([1, []]);
        expect(broken.said).to.match(/^failed .*v6: public.patient_vitals lacks row security/m);
        expect(broken.said).to.match(/\nnot ready: /);
        expect((await run("--stage", "after")).code).to.equal(2);
        expect(broken.said + ready.said).not.to.include(password);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }));
});
