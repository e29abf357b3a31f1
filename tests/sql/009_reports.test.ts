import { expect } from "chai";
import type { Client } from "pg";
import { count, expectRefusal, refusal, testOn, value, withModules } from "../support/modules";
import type { V6 } from "../support/postgres";
import { until } from "../support/processes";
import { asOperator, modules, records } from "./009_operator";
import { modules as everything } from "./every_module";

/** The report by entity: [v6_count, v7_count, migration_status]. */
async function report(db: V6): Promise<Record<string, string[]>> {
  const rows = await asOperator(db, (c) =>
    records(c, "SELECT entity, v6_count, v7_count, migration_status FROM validate_v7_migration()"),
  );
  return Object.fromEntries<string[]>(rows.map(([entity = "", ...rest]) => [entity, rest]));
}

/** What the data stage does, in short. */
async function migrate(client: Client): Promise<void> {
  await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users");
  await client.query(
    `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis)
     SELECT id, 'data_sharing', 'healthcare_services', true, 'consent' FROM auth.users WHERE created_at < now() - interval '1 day'`,
  );
}

const test = testOn(modules);
const testAll = testOn(everything);

describe("009_operations: what it reports", function () {
  this.timeout(60_000);

  test("S-12: the report compares with what v6 held before, for every table, and sees a lost row", async (client, db) => {
    const before = await report(db);
    expect(Object.keys(before)).to.deep.equal([
      "Users",
      "Documents",
      "Medications",
      "Allergies",
      "Conditions",
      "Lab Results",
      "Vitals",
      "Providers",
    ]);
    for (const [entity, [v6, v7, status]] of Object.entries(before)) {
      expect(status, entity).to.equal("✅ Complete");
      expect(v6, entity).to.equal(v7);
      expect(Number(v6), entity).to.be.above(0);
    }
    // v6 goes on being used: what is created later is neither extra data nor makes up for a lost row.
    await client.query(
      "INSERT INTO public.patient_medications (medication_name, source_document_ids) VALUES ('new', '{}')",
    );
    await client.query(
      "DELETE FROM public.patient_allergies WHERE id = (SELECT id FROM public.patient_allergies LIMIT 1)",
    );
    await client.query(
      "INSERT INTO public.patient_conditions (condition_name, source_document_ids, created_at) VALUES ('planted', '{}', now() - interval '1 year')",
    );
    const after = await report(db);
    expect(after["Medications"]).to.deep.equal(before["Medications"]);
    const n = Number(before["Allergies"]?.[0]);
    expect(after["Allergies"]).to.deep.equal([String(n), String(n - 1), "❌ Data loss"]);
    expect(after["Conditions"]?.[2]).to.equal("⚠️ Extra data");
  });

  testAll(
    "S-12: users are compared with the rows they are owed in v7, by key and not by number",
    async (client, db) => {
      expect((await report(db))["User Preferences"]).to.deep.equal(["300", "0", "❌ Data loss"]);
      await migrate(client);
      const done = await report(db);
      expect(done["User Preferences"]).to.deep.equal(["300", "300", "✅ Complete"]);
      expect(done["Consents"]?.[2]).to.equal("✅ Complete");
      expect(Number(done["Consents"]?.[0])).to.be.within(200, 299);
      // One of the old accounts without a row, a new account with one: the numbers are equal, the keys are not.
      await client.query(
        "DELETE FROM public.user_preferences WHERE user_id = (SELECT id FROM auth.users ORDER BY id LIMIT 1)",
      );
      await client.query(
        "INSERT INTO auth.users (id, email, created_at) VALUES ('00000000-0000-4000-8000-000000000001', 'new@example.test', now())",
      );
      await client.query(
        "INSERT INTO public.user_preferences (user_id) VALUES ('00000000-0000-4000-8000-000000000001')",
      );
      expect(await count(client, "public.user_preferences")).to.equal(300);
      expect((await report(db))["User Preferences"]).to.deep.equal(["300", "299", "❌ Data loss"]);
    },
  );

  test("S-12: mapping rows of FHIR are compared where there are some", async (client, db) => {
    await client.query("CREATE TABLE public.fhir_document_references (guardian_document_id uuid)");
    expect(await report(db)).not.to.have.property("FHIR Documents");
    await client.query(
      "INSERT INTO public.fhir_document_references SELECT id FROM public.documents WHERE user_id IS NOT NULL",
    );
    expect((await report(db))["FHIR Documents"]?.[2]).to.equal("✅ Complete");
    await client.query("INSERT INTO public.fhir_document_references VALUES (gen_random_uuid())");
    expect((await report(db))["FHIR Documents"]?.[2], "of a document that is gone").to.equal("⚠️ Extra data");
  });

  testAll(
    "S-12: what module 003 maps is complete once it is refreshed, and a lost mapping is seen",
    async (client, db) => {
      await client.query("SELECT public.refresh_fhir_mappings()");
      const fhir = async () => Object.entries(await report(db)).filter(([entity]) => entity.startsWith("FHIR"));
      expect((await fhir()).map(([entity, [, , status]]) => `${entity} ${status ?? ""}`)).to.deep.equal([
        "FHIR Patients ✅ Complete",
        "FHIR Documents ✅ Complete",
        "FHIR Medications ✅ Complete",
        "FHIR Lab Results ✅ Complete",
      ]);
      await client.query(
        `DELETE FROM public.fhir_document_references WHERE guardian_document_id =
               (SELECT guardian_document_id FROM public.fhir_document_references LIMIT 1)`,
      );
      expect((await report(db))["FHIR Documents"]?.[2]).to.equal("❌ Data loss");
    },
  );

  test("S-13 K-12: performance is the 95th percentile of many runs against one measured on this database", async (client, db) => {
    const test = (kind: string) => asOperator(db, (c) => records(c, `SELECT * FROM test_v7_${kind}()`));
    const guide = await test("performance");
    expect(guide.map(([name]) => name)).to.deep.equal(["User Authentication", "Document Listing"]);
    const clinical = await test("clinical_performance");
    expect(clinical.map(([name]) => name)).to.deep.equal(["Medication List", "Lab Results"]);
    for (const [name, now, then, impact] of [...guide, ...clinical]) {
      expect(Number(now), name).to.be.above(0);
      expect(Number(then), name).to.be.above(0);
      expect(impact, name).to.match(/^(✅ Good|⚠️ Acceptable|❌ Poor)$/);
    }
    expect(await value(client, "SELECT min(runs) FROM public.v6_query_times")).to.equal(200);
    expect(await value(client, "SELECT bool_and(p50_ms <= p95_ms) FROM public.v6_query_times")).to.equal(true);
  });

  test("S-13: a query that became slow is Poor, whatever the size of the database", async (client, db) => {
    // A policy cannot slow the owner down; a view in the table's place can.
    await client.query("ALTER TABLE public.documents RENAME TO documents_table");
    await client.query(
      "CREATE VIEW public.documents AS SELECT d.* FROM public.documents_table d, LATERAL (SELECT pg_sleep(0.002) OFFSET 0) s",
    );
    const [slow] = await asOperator(db, (c) =>
      records(c, "SELECT performance_impact FROM test_v7_performance() WHERE test_name = 'Document Listing'"),
    );
    expect(slow).to.deep.equal(["❌ Poor"]);
  });

  test("K-11: without a measured baseline it says so, and can measure one", async (client, db) => {
    await client.query("DELETE FROM public.v6_query_times WHERE test_name = 'Lab Results'");
    const [none] = await asOperator(db, (c) =>
      records(
        c,
        "SELECT baseline_ms, performance_impact FROM test_v7_clinical_performance() WHERE test_name = 'Lab Results'",
      ),
    );
    expect(none).to.deep.equal(["", "No baseline"]);
    expect(await asOperator(db, (c) => value(c, "SELECT record_performance_baseline()"))).to.equal(4);
    expect(await count(client, "public.v6_query_times")).to.equal(4);
  });

  it("an empty v6 is counted and measured as empty, and comes back after a rollback", async () => {
    await withModules(modules.slice(0, 3), async (client, db, engine) => {
      await client.query("TRUNCATE auth.users, public.documents CASCADE");
      await engine.applyReal("009_operations");
      expect(
        await value(client, "SELECT sum(row_count) FROM public.v6_row_counts WHERE entity IN ('Users', 'Documents')"),
      ).to.equal("0");
      const impacts = await asOperator(db, (c) => records(c, "SELECT performance_impact FROM test_v7_performance()"));
      expect(impacts).to.deep.equal([["No baseline"], ["No baseline"]]);
      await engine.undo("009_operations");
      await engine.applyReal("009_operations");
    });
  });

  test("S-21: slow queries come from pg_stat_statements where it is, and never with a value of a row", async (client, db) => {
    const slow = () => asOperator(db, (c) => records(c, "SELECT query FROM slow_queries(1000)"));
    expect((await refusal(slow())).message).to.equal("pg_stat_statements is not installed in this database");
    const admin = await db.connect("admin");
    await admin.query("CREATE EXTENSION pg_stat_statements WITH SCHEMA extensions");
    await admin.query("GRANT pg_read_all_stats TO guardian_migrator");
    try {
      await client.query("SELECT count(*) FROM auth.users WHERE email = 'marked-value'");
      await client.query("DO $$ BEGIN PERFORM 'marked-value'; END $$");
      await client.query("SELECT 1 AS noted /* marked-value */");
      await client.query("COPY (SELECT 'marked-value') TO STDOUT").catch(() => undefined);
      const texts = (await slow()).map(([query]) => query ?? "");
      expect(texts).to.include("SELECT count(*) FROM auth.users WHERE email = $1");
      expect(texts).to.include("(text withheld: it may hold values of rows)");
      expect(texts.filter((query) => query.includes("marked-value"))).to.deep.equal([]);
      expect(await asOperator(db, (c) => records(c, "SELECT * FROM slow_queries(2)"))).to.have.length(2);
    } finally {
      await admin.query("REVOKE pg_read_all_stats FROM guardian_migrator");
    }
  });

  test("K-10 S-21: rebuilding is a statement to run, CONCURRENTLY and outside a transaction", async (client, db) => {
    const statement = await asOperator(db, (c) => value<string>(c, "SELECT reindex_statement('public.documents')"));
    expect(statement).to.equal("REINDEX TABLE CONCURRENTLY public.documents");
    await client.query(statement);
    for (const wrong of ["pg_class", "public.documents_user_id_idx"]) {
      await expectRefusal(
        "42809",
        asOperator(db, (c) => c.query("SELECT reindex_statement($1)", [wrong])),
        wrong,
      );
    }
  });

  test("K-10: invalid and bloated indexes are found, and what is proposed mends them", async (client, db) => {
    const found = () =>
      asOperator(db, (c) => records(c, "SELECT index_name, reason, statement FROM indexes_to_rebuild()"));
    expect(await found(), "nothing amiss").to.deep.equal([]);
    await client.query(
      "INSERT INTO public.patient_medications (medication_name, source_document_ids, normalized_name) SELECT 'x', '{}', i::text FROM generate_series(1, 20000) i",
    );
    const invalid = client.query(
      "CREATE UNIQUE INDEX CONCURRENTLY half_made ON public.patient_medications (medication_name)",
    );
    await expectRefusal("23505", invalid);
    await client.query("DELETE FROM public.patient_medications WHERE normalized_name ~ '[1-9]$'");
    let amiss: Awaited<ReturnType<typeof found>> = [];
    // Whoever else looks at this database, autovacuum too, keeps deleted rows from being removed for as long.
    await until("the index is called bloated", async () => {
      await client.query("VACUUM ANALYZE public.patient_medications");
      return (amiss = await found()).length > 1;
    });
    expect(amiss[0]).to.deep.equal([
      "public.half_made",
      "invalid: the planner does not use it",
      "REINDEX INDEX CONCURRENTLY public.half_made",
    ]);
    expect(amiss.slice(1).map(([name]) => name)).to.include("public.medications_dedup_idx");
    await client.query("DROP INDEX CONCURRENTLY public.half_made");
    for (const [, , statement] of amiss.slice(1)) await client.query(statement ?? "");
    expect(await found(), "mended").to.deep.equal([]);
  });

  test("K-10: an index is not called bloated by figures of when its table was empty, as after a rollback", async (client, db) => {
    await client.query("VACUUM ANALYZE public.patient_medications");
    await client.query(
      "INSERT INTO public.patient_medications (medication_name, source_document_ids, normalized_name) SELECT 'x', '{}', i::text FROM generate_series(1, 20000) i",
    );
    await client.query("SELECT pg_stat_force_next_flush()");
    expect(await value(client, "SELECT pg_relation_size('public.medications_dedup_idx') >= 1048576")).to.equal(true);
    const look = "SELECT index_name FROM indexes_to_rebuild()";
    expect(await asOperator(db, (c) => records(c, look))).to.deep.equal([]);
  });
});
