import { expect } from "chai";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Verdict } from "../../scripts/faults/compare";
import { Life, type Measure, type World } from "../../scripts/faults/life";
import { Orphans } from "../../scripts/faults/orphans";
import { FaultServer } from "../../scripts/faults/server";
import { Traffic } from "../../scripts/faults/traffic";
import { Watch } from "../../scripts/faults/watch";
import { findEngine } from "../../scripts/pulumi/engine";
import type { Login } from "../../scripts/v6/database";

/** What is put into the database behind the product's back, and how it must be seen. */
interface Plant {
  sql: string;
  lost?: number;
  twice?: number;
  /** A line of the verdict. */
  says: string | RegExp;
}

const whole = "SET session_replication_role = replica;"; // append-only tables refuse a delete otherwise
const policy = "patient_consent_audit_own ON public.patient_consent_audit";

const atV7: Record<string, Plant> = {
  "documents of v6 are gone": {
    sql: `${whole} DELETE FROM public.documents`,
    lost: 7, // three are gone already
    says: "public.documents: 10 rows lost or changed",
  },
  "lab results of v6 are written over": {
    sql: `${whole} UPDATE public.patient_lab_results SET result_value = '0'`,
    lost: 6,
    says: "public.patient_lab_results: 6 rows lost or changed",
  },
  "an account of v6 is another's": {
    sql: `${whole} UPDATE auth.users SET email = 'x@example.test' WHERE id = (SELECT min(id::text)::uuid FROM auth.users)`,
    lost: 1,
    says: "auth.users: 1 rows lost or changed",
  },
  "a profile has a row that nobody wrote": {
    sql: `${whole} INSERT INTO public.user_profiles (user_id, language) VALUES (gen_random_uuid(), 'en')`,
    says: "public.user_profiles: 1 rows that should not be there",
  },
  "audit rows of a consent are gone": {
    sql: `${whole} DELETE FROM public.patient_consent_audit`,
    lost: 2,
    says: "public.patient_consent_audit: 4 rows lost or changed", // two are gone already
  },
  "a session has lost a step": {
    sql: "DELETE FROM public.migration_session_steps WHERE step_name = 'consents' AND status = 'done'",
    says: "missing: session step DataMigration consents done",
  },
  "row level security is off": {
    sql: "ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY",
    says: /^ROW SECURITY public\.patient_consents: gone/,
  },
  "grants are revoked": {
    sql: "REVOKE ALL ON public.patient_consents FROM authenticated",
    says: /^ACL public\.TABLE patient_consents: changed from «GRANT SELECT .* authenticated/,
  },
  "a default is dropped": {
    sql: "ALTER TABLE public.user_preferences ALTER COLUMN theme DROP DEFAULT",
    says: /^TABLE public\.user_preferences: changed from «theme text DEFAULT/,
  },
  "a column may be empty": {
    sql: "ALTER TABLE public.feature_flags ALTER COLUMN enabled DROP NOT NULL",
    says: /^TABLE public\.feature_flags: changed from «enabled boolean .*NOT NULL/,
  },
  "a policy lets everybody read": {
    sql: `ALTER POLICY ${policy} USING (true)`,
    says: /^POLICY public\.patient_consent_audit patient_consent_audit_own: changed from .* to .*USING \(true\)/,
  },
  "a function does nothing": {
    sql: `CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS
      'BEGIN RETURN NULL; END'`,
    says: /^FUNCTION public\.refuse_change\(\): changed/,
  },
  "a view shows less": {
    sql: `DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW public.user_document_processing_status WITH (security_invoker) AS '
      || rtrim(pg_get_viewdef('public.user_document_processing_status'), ';') || ' LIMIT 1'; END $$`,
    says: /^VIEW public\.user_document_processing_status: changed/,
  },
  "an index has other columns": {
    sql: `DROP INDEX public.patient_consent_audit_consent_idx;
      CREATE INDEX patient_consent_audit_consent_idx ON public.patient_consent_audit (patient_id)`,
    says: /^INDEX public\.patient_consent_audit_consent_idx: changed/,
  },
};

const atV6: Record<string, Plant> = {
  "documents are gone": {
    sql: `${whole} DELETE FROM public.documents WHERE id IN (SELECT id FROM public.documents LIMIT 3)`,
    lost: 3,
    says: "public.documents: 3 rows lost or changed",
  },
  "archived rows are gone": {
    sql: `${whole} DO $$ BEGIN EXECUTE (SELECT 'DELETE FROM ' || archived_as FROM guardian_migration.archived
      WHERE original = 'public.patient_consent_audit' AND to_regclass(archived_as) IS NOT NULL); END $$`,
    lost: 2,
    says: "public.patient_consent_audit: 2 rows lost or changed",
  },
};

describe("npm run faults: what is planted is seen", function () {
  this.timeout(600_000);
  let folder: string;
  let server: FaultServer | undefined;
  let watch: Watch | undefined;
  let life: Life;
  const measure = {} as Measure;
  let last: Verdict = { lost: 0, twice: 0, faults: [] };

  /** Compares, and says what is new since the last time. */
  const compare = async (): Promise<Verdict> => {
    const now = await life.compare(measure);
    const { lost, twice, faults } = last;
    last = now;
    const more = now.faults.filter((fault) => !faults.includes(fault));
    return { lost: now.lost - lost, twice: now.twice - twice, faults: more };
  };
  const see = (name: string, { sql, lost = 0, twice = 0, says }: Plant): void => {
    it(name, async () => {
      await life.with((client) => client.query(`BEGIN; ${sql}; COMMIT`));
      const seen = await compare();
      expect(seen, seen.faults.join("\n")).to.deep.include({ lost, twice });
      if (typeof says === "string") expect(seen.faults).to.include(says);
      else
        expect(
          seen.faults.some((fault) => says.test(fault)),
          seen.faults.join("\n"),
        ).to.equal(true);
    });
  };

  before(async () => {
    folder = mkdtempSync(join(realpathSync(tmpdir()), "guardian-planted-"));
    chmodSync(folder, 0o711);
    for (const name of ["home", "tmp"]) mkdirSync(join(folder, name));
    const engine = (await findEngine({ log: { line: () => undefined } })).path;
    const started = (one: FaultServer): void => void (server = one);
    server = await FaultServer.start(folder, { users: 100, say: () => undefined, started });
    watch = new Watch(server.logins.admin);
    const { signal } = new AbortController();
    const world: World = {
      folder,
      engine,
      server,
      watch,
      signal,
      orphans: new Orphans(),
      rangeKeys: 1000,
      proof: false,
    };
    life = await Life.begin(world, 0);
    measure.v6 = await life.picture();
    await life.go("v7");
    measure.v7 = await life.picture();
    await life.use("planted", 0);
  });

  after(async () => {
    await watch?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  it("at v7, nothing is seen where nothing was planted", async () => {
    expect(await compare()).to.deep.equal({ lost: 0, twice: 0, faults: [] });
  });

  it("nor where v6 was written to meanwhile", async () => {
    const traffic = new Traffic(server?.logins.admin as Login, "planted");
    traffic.start();
    await sleep(1500);
    expect(await traffic.stop()).to.be.at.least(4);
    expect(await compare()).to.deep.equal({ lost: 0, twice: 0, faults: [] });
  });

  it("nor at v6, with what users wrote in the archive", async () => {
    await life.go("v6");
    measure.v6.content.facts = (await life.content()).facts;
    expect(await compare()).to.deep.equal({ lost: 0, twice: 0, faults: [] });
  });

  for (const [name, plant] of Object.entries(atV6)) see(`at v6, ${name}`, plant);

  it("what went from the archive is missed at the next v7, and so is what went from v6", async () => {
    await life.go("v7");
    last = { lost: 0, twice: 0, faults: [] };
    const { lost, faults } = await compare();
    expect(lost, faults.join("\n")).to.equal(5);
    await life.use("planted", 1);
  });

  for (const [name, plant] of Object.entries(atV7)) see(`at v7, ${name}`, plant);
});
