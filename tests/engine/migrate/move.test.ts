import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { GuardianError } from "../../../engine/base/errors";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { planMove, readMoved } from "../../../engine/migrate";
import { sqlFolder } from "../../../engine/module/files/manifest";
import { asRole } from "../../support/postgres";
import { column, endWriters, Engine, refusalOf, until } from "../module/harness";
import { counted, withData } from "./data";
import { assumed, modules } from "./harness";

const older = "SELECT count(*)::int FROM auth.users WHERE created_at < now() - interval '1 day' AND deleted_at IS NULL";
const consents = "SELECT count(*)::int FROM public.patient_consents";

describe("the data migrations", function () {
  this.timeout(60_000);

  it("consents: one for every account older than a day, as planned, once, audited by the ledger alone", () =>
    withData("consents", async ({ engine, client, migration, move }) => {
      const [users] = await column<number>(client, older);
      const [all] = await column<number>(client, "SELECT count(*)::int FROM auth.users");
      expect(users).to.be.within(1, all! - 1);
      const planned = await engine.host.read((db) => planMove(db, migration, assumed));
      const { leftOut, ...moved } = planned;
      expect(moved).to.deep.equal({ source: BigInt(users!), written: BigInt(users!) });
      expect(Object.values(leftOut).reduce((sum, n) => sum + n, users!)).to.equal(all);
      expect(await move()).to.deep.equal(moved);
      expect(await move(), "again").to.deep.equal(moved);
      expect(await column(client, consents)).to.deep.equal([users]);
      expect(await engine.host.read((db) => planMove(db, migration, assumed))).to.deep.equal({
        source: BigInt(users!),
        written: 0n,
        leftOut,
      });
      const said = `SELECT DISTINCT concat_ws(' ', consent_type, purpose, granted, legal_basis, explicit_consent, consent_evidence - 'recorded_at')
            FROM public.patient_consents`;
      expect(await column(client, said)).to.deep.equal([
        'data_sharing healthcare_services t consent f {"source": "v6_to_v7 migration", "assumed": true, "statement": "terms of 2023"}',
      ]);
      const trail =
        "SELECT (SELECT count(*)::int FROM public.patient_consent_audit) + (SELECT count(*)::int FROM public.audit_log)";
      expect(await column(client, trail)).to.deep.equal([0]);
      expect(
        await column(
          client,
          `SELECT concat_ws(' ', b.state, rows_written, checksum = (SELECT sum(hash_record_extended(ROW(${migration.columns.join(", ")}), 0))::text FROM public.patient_consents t),
                 transaction_time = (SELECT min(updated_at) FROM public.patient_consents)) FROM guardian_migration.batch b`,
        ),
      ).to.deep.equal([`done ${users!} t t`]);
    }));

  it("are refused to who does not own the target, a superuser too: each row would be audited, and settled ones pass for somebody's", () =>
    withData("consents", async ({ client, db, engine, migration, move }) => {
      const other = new Engine(db.admin, { stack: engine.stack });
      try {
        const said = await refusalOf(other.move(migration, assumed));
        expect(said.code).to.equal("target-not-owned");
        expect(said.what).to.match(
          /^public\.patient_consents belongs to guardian_migrator, and postgres would move rows/,
        );
        expect(said.todo.join()).to.contain("connect as guardian_migrator");
        expect(await column(client, consents)).to.deep.equal([0]);
        await move();
      } finally {
        await other.close();
      }
    }));

  it("consents, pending: nothing is asserted, a question waits for an answer", () =>
    withData("consents", async ({ client, move }) => {
      await move({ ...assumed, mode: "pending" });
      expect(
        await column(
          client,
          "SELECT DISTINCT concat_ws(' ', granted, consent_evidence, consent_metadata->>'state', consent_metadata->>'statement') FROM public.patient_consents",
        ),
      ).to.deep.equal(["f pending terms of 2023"]);
    }));

  it("a user with any row of that type and purpose gets none", () =>
    withData("consents", async ({ client, move }) => {
      const [users] = await column<number>(client, older);
      await client.query(`INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, granted, consent_metadata, revoked_at)
            SELECT id, 'data_sharing', 'healthcare_services', 'consent', n = 4,
              CASE n WHEN 1 THEN '{"state": "refused"}' WHEN 2 THEN '{"state": "expired"}' ELSE '{}' END::jsonb, CASE n WHEN 3 THEN now() END
            FROM (SELECT id, row_number() OVER (ORDER BY created_at) AS n FROM auth.users) u WHERE n <= 4`);
      expect((await move()).written).to.equal(BigInt(users! - 4));
      expect(
        await column(
          client,
          "SELECT count(*) FROM (SELECT patient_id FROM public.patient_consents GROUP BY 1 HAVING count(*) > 1) d",
        ),
      ).to.deep.equal(["0"]);
    }));

  it("taken back are the rows that nobody changed and nobody refers to; the others stay", () =>
    withData("consents", async ({ engine, client, move, back }) => {
      const { written } = await move();
      const ids = await column<string>(client, "SELECT id FROM public.patient_consents ORDER BY id LIMIT 3");
      await client.query("UPDATE public.patient_consents SET valid_until = '2099-01-01' WHERE id = $1", [ids[0]]);
      // A write that changes nothing is no change.
      await client.query("UPDATE public.patient_consents SET granted = granted WHERE id = $1", [ids[1]]);
      await client.query("CREATE TABLE public.refers (consent uuid REFERENCES public.patient_consents); ");
      await client.query("INSERT INTO public.refers VALUES ($1)", [ids[2]]);
      await client.query(`INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, granted)
            SELECT id, 'research_participation', 'p', 'consent', true FROM auth.users LIMIT 1`);
      expect(await back()).to.deep.equal({ removed: written - 2n, kept: 2n });
      expect(await back(), "again").to.deep.equal({ removed: 0n, kept: 0n });
      expect(
        await column(client, "SELECT id FROM public.patient_consents WHERE consent_type = 'data_sharing' ORDER BY id"),
      ).to.deep.equal([ids[0], ids[2]]);
      expect(await column(client, consents)).to.deep.equal([3]);
      expect(
        await column(client, "SELECT concat_ws(' ', state, rows_taken_back, rows_kept) FROM guardian_migration.batch"),
      ).to.deep.equal([`undone ${written - 2n} 2`]);
      // Up again: those two still have theirs.
      expect(await move()).to.deep.equal({ source: written, written: written - 2n });
      const said = await engine.host.read((db) => readMoved(db, engine.urn("DataMigration", "consents")));
      expect(counted(said)).to.deep.equal({ source: written, written: written - 2n });
      expect(await back()).to.deep.equal({ removed: written - 2n, kept: 0n });
    }));

  it("what was revoked is not given back, through a whole rollback and up again", () =>
    withData("consents", async ({ engine, db, client, migration, move, back }) => {
      const admin = await db.connect("admin");
      const { written } = await move();
      const [consent] = (
        await client.query<{ id: string; patient_id: string }>(
          "SELECT id, patient_id FROM public.patient_consents LIMIT 1",
        )
      ).rows;
      await asRole(admin, "authenticated", consent!.patient_id, (c) =>
        c.query("SELECT public.revoke_patient_consent($1, 'no more')", [consent!.id]),
      );
      const audit = await column(
        client,
        "SELECT concat_ws(' ', action, previous_state, new_state) FROM public.patient_consent_audit",
      );
      expect(audit).to.deep.equal(["revoked granted revoked"]);
      for (let life = 0; life < 2; life++) {
        expect(await back()).to.deep.equal({ removed: written - 1n, kept: life === 0 ? 1n : 0n });
        for (const name of [...modules].reverse()) await engine.undo(name);
        const planned = await engine.host.read((read) => planMove(read, migration, assumed));
        expect(planned.written, "the preview knows of the row that waits in the archive").to.equal(written - 1n);
        await engine.applyReal(...modules);
        expect((await move()).written).to.equal(written - 1n);
        expect(
          await column(
            client,
            "SELECT concat_ws(' ', granted, revoked_at IS NOT NULL, revocation_reason) FROM public.patient_consents WHERE patient_id = $1",
            [consent!.patient_id],
          ),
        ).to.deep.equal(["f t no more"]);
        expect(
          await column(
            client,
            "SELECT concat_ws(' ', action, previous_state, new_state) FROM public.patient_consent_audit",
          ),
        ).to.deep.equal(audit);
      }
    }));

  it("the setting of a batch cannot be forged: others are audited whatever they set, in the middle of a batch too", () =>
    withData("consents", async ({ engine, db, client }) => {
      const admin = await db.connect("admin");
      const [user] = await column<string>(client, "SELECT id FROM auth.users ORDER BY created_at LIMIT 1");
      const actions = "SELECT action FROM public.patient_consent_audit ORDER BY action_timestamp";
      const grant = (batch: string): Promise<unknown> =>
        asRole(admin, "authenticated", user!, async (c) => {
          await c.query("SELECT set_config('guardian_migration.batch', $1, true)", [batch]);
          await c.query("SELECT public.grant_patient_consent($1, 'data_sharing', $2)", [
            user,
            `p${Math.random().toString().slice(2)}`,
          ]);
        });
      // A batch of the ledger's own, running in another session, and seen by all.
      const pid = await engine.write("DataMigration", "x", async (fenced) => {
        const batch = await fenced.transaction(async (tx) => {
          const { rows } = await tx.query<{ id: string }>(
            `WITH s AS (INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch) SELECT 'x', 'x', id, 1, 'running', 0 FROM guardian_migration.ledger RETURNING id)
                 INSERT INTO guardian_migration.batch (urn, step_id, target, epoch) SELECT 'x', id, 'public.patient_consents', 0 FROM s RETURNING id`,
          );
          return rows[0]!.id;
        });
        await grant(batch);
        expect(await column(client, actions)).to.deep.equal(["granted"]);
        // The owner himself, in another session than the batch's.
        await client.query("SELECT set_config('guardian_migration.batch', $1, false)", [batch]);
        await client.query("UPDATE public.patient_consents SET valid_until = '2099-01-01'");
        expect(await column(client, actions)).to.have.length(2);
        // And the batch's own session: there it is passed over, for the owner.
        await fenced.transaction(async (tx) => {
          await tx.query("SELECT set_config('guardian_migration.batch', $1, true)", [batch]);
          await tx.query("UPDATE public.patient_consents SET valid_until = '2098-01-01'");
        });
        expect(await column(client, actions)).to.have.length(2);
        // Not outside of it, nor when it has ended.
        await fenced.transaction((tx) => tx.query("UPDATE public.patient_consents SET valid_until = '2097-01-01'"));
        expect(await column(client, actions)).to.have.length(3);
        await fenced.transaction(async (tx) => {
          await tx.query("UPDATE guardian_migration.batch SET state = 'done'");
          await tx.query("SELECT set_config('guardian_migration.batch', $1, true)", [batch]);
          await tx.query("UPDATE public.patient_consents SET valid_until = '2096-01-01'");
        });
        expect(await column(client, actions)).to.have.length(4);
        return fenced.writer.pid;
      });
      expect(pid).to.be.a("number");
      for (const forged of ["00000000-0000-0000-0000-000000000000", "'; DROP TABLE x", ""]) await grant(forged);
      expect(await column(client, actions)).to.have.length(7);
    }));

  it("a role that row security holds back is refused, and not shown a part", () =>
    withData("consents", async ({ db, migration, client }) => {
      const admin = await db.connect("admin");
      const role = `weak_${db.name}`;
      await admin.query(
        `CREATE ROLE ${role} LOGIN PASSWORD '${db.admin.password}'; GRANT USAGE ON SCHEMA auth TO ${role}; GRANT SELECT ON auth.users, public.patient_consents TO ${role}`,
      );
      const weak = new Engine({ ...db.migrator, user: role });
      try {
        const refused = await weak.host
          .read((tx) => planMove(tx, migration, assumed))
          .catch((err: unknown) => err as { code?: string });
        expect(refused).to.have.property("code", "42501");
        expect(await column(client, consents)).to.deep.equal([0]);
      } finally {
        await weak.close();
        await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }));

  it("killed in the middle nothing is there, and the next run does it; so the way back", () =>
    withData("consents", async ({ engine, db, client, move, back }) => {
      const [admin, holder] = [await db.connect("admin"), await db.connect()];
      const [users] = await column<number>(client, older);
      const waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%DataMigration%' AND datname = current_database() AND wait_event_type = 'Lock')";
      const killed = async (work: () => Promise<unknown>): Promise<void> => {
        await holder.query("BEGIN; LOCK TABLE public.patient_consents IN SHARE MODE");
        const failed = refusalOf(work());
        await until(admin, waits);
        expect(await endWriters(admin)).to.equal(1);
        expect((await failed).what).to.match(/^the connection to the database was lost/);
        await holder.query("COMMIT");
      };
      await killed(move);
      expect(await column(client, consents)).to.deep.equal([0]);
      expect(await engine.states("DataMigration", "consents")).to.deep.equal({ "": "running" });
      expect((await move()).written).to.equal(BigInt(users!));
      await killed(back);
      expect(await column(client, consents)).to.deep.equal([users]);
      expect(await engine.states("DataMigration", "consents")).to.deep.equal({ "": "undoing" });
      // Up instead of down after that: what is there is there, and counted.
      expect(await move()).to.deep.equal({ source: BigInt(users!), written: BigInt(users!) });
      await killed(back);
      expect(await back()).to.deep.equal({ removed: BigInt(users!), kept: 0n });
    }));

  it("one whose triggers would all have the same 63 bytes for a name is refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian-data-"));
    const name = "a".repeat(39);
    try {
      cpSync(join(sqlFolder, "data", "preferences"), join(folder, name), { recursive: true });
      const said = await refusalOf(loadMigration(name, folder));
      expect(said.what).to.equal(
        "a data migration's name has 38 letters at most: with it the names of its triggers have 63",
      );
      cpSync(join(folder, name), join(folder, name.slice(1)), { recursive: true });
      expect((await loadMigration(name.slice(1), folder)).name).to.have.length(38);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("an unknown one is refused by name", async () => {
    const said = await refusalOf(loadMigration("../consents"));
    expect(said).to.be.instanceOf(GuardianError);
    expect(said.message).to.equal(
      'there is no data migration "../consents" [name-unknown]\n  where: sql/data/../consents/migration.yaml\n  to do: name one of: consents, preferences',
    );
  });
});
