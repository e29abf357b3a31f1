import { createHash } from "node:crypto";
import { expect } from "chai";
import { asRole } from "../support/postgres";
import { count, expectRefusal, queryAs, refusal, service, testOn, value, valueAs } from "../support/modules";
import { enabled, flag, modules, set, user } from "./001_flags";

const test = testOn(modules);

describe("001_feature_flags: what the papers got wrong", function () {
  this.timeout(60_000);

  test("F-2: two flags at 25 % try different users first", async (client) => {
    for (const name of ["enhanced_consent", "multi_tenancy"]) {
      await set(client, "enabled = true, rollout_percentage = 25", name);
    }
    const { rows } = await client.query<{ one: number; other: number; both: number }>(
      `SELECT count(*) FILTER (WHERE a)::int AS one, count(*) FILTER (WHERE b)::int AS other,
               count(*) FILTER (WHERE a AND b)::int AS both
             FROM generate_series(1, 4000) AS i, LATERAL (SELECT md5(i::text)::uuid) AS u (id),
               LATERAL (SELECT public.feature_is_on('enhanced_consent', id), public.feature_is_on('multi_tenancy', id)) AS x (a, b)`,
    );
    const { one, other, both } = rows[0]!;
    expect(one).to.be.within(940, 1060);
    expect(other).to.be.within(940, 1060);
    expect(both, "about 25 % of 25 %").to.be.within(220, 280);
  });

  test("F-3: a bucket is 32 unsigned bits of SHA-256, the same on every server version, and never overflows", async (client) => {
    const ids = Array.from({ length: 400 }, (_, i) => user(i));
    const here = ids.map((id) => createHash("sha256").update(`${flag}:${id}`).digest().readUInt32BE(0));
    expect(here.filter((bits) => bits >= 2 ** 31).length, "with the sign bit set").to.be.above(100);
    // A user gets the feature with the first percentage above his bucket, and keeps it with every higher one.
    for (const percent of [0, 1, 2, 25, 50, 51, 98, 99, 100]) {
      await set(client, `enabled = true, rollout_percentage = ${percent}`);
      const { rows } = await client.query<{ on: boolean }>(
        `SELECT public.feature_is_on($1, id::uuid) AS on FROM unnest($2::text[]) WITH ORDINALITY AS u (id, n) ORDER BY n`,
        [flag, ids],
      );
      expect(
        rows.map((row) => row.on),
        `at ${percent} %`,
      ).to.deep.equal(here.map((bits) => bits % 100 < percent));
    }
  });

  test("F-4: listing a user twice is as once, and leaves the rollout for everybody alone", async (client) => {
    await set(client, "rollout_percentage = 40");
    for (let i = 0; i < 3; i++) {
      expect(await value(client, "SELECT public.enable_feature_for_user($1, $2)", [flag, user(1)])).to.equal(true);
    }
    const state =
      "SELECT enabled_for_users::text || rollout_percentage FROM public.feature_flags WHERE feature_name = $1";
    expect(await value(client, state, [flag])).to.equal(`{${user(1)}}40`);
    expect(await count(client, "public.audit_log")).to.equal(2);
    await value(client, "SELECT public.disable_feature_for_user($1, $2)", [flag, user(1)]);
    await value(client, "SELECT public.disable_feature_for_user($1, $2)", [flag, user(1)]);
    expect(await value(client, state, [flag])).to.equal("{}40");
    expect(await count(client, "public.audit_log")).to.equal(3);
    expect(await value(client, "SELECT public.enable_feature_for_user('no_such_flag', $1)", [user(1)])).to.equal(false);
    await expectRefusal("22023", client.query("SELECT public.enable_feature_for_user($1, NULL)", [flag]));
  });

  test("F-4: only an operator changes the rollout by the way, and only within 0 to 100", async (client, db) => {
    const admin = await db.connect("admin");
    const ask = (role: string, percent: number) =>
      valueAs(admin, role, null, "SELECT public.enable_feature_for_user($1, $2, $3)", [flag, user(1), percent]);
    await expectRefusal("42501", ask("service_role", 100));
    await expectRefusal("22023", ask("guardian_operator", 101));
    expect(await ask("guardian_operator", 30)).to.equal(true);
    expect(
      await value(client, "SELECT rollout_percentage FROM public.feature_flags WHERE feature_name = $1", [flag]),
    ).to.equal(30);
  });

  test("F-5: anon and users switch nothing, for nobody", async (client) => {
    for (const role of ["anon", "authenticated"]) {
      for (const call of [
        "enable_feature_for_user($1, $2)",
        "enable_feature_for_user($1, $2, 100)",
        "disable_feature_for_user($1, $2)",
      ]) {
        await expectRefusal(
          "42501",
          queryAs(client, role, user(1), `SELECT public.${call}`, [flag, user(1)]),
          `${role}: ${call}`,
        );
      }
    }
  });

  test("F-6: a temporary table feature_flags does not answer for the real one", async (client) => {
    const answer = await asRole(client, "authenticated", user(1), async (c) => {
      await c.query(`CREATE TEMP TABLE feature_flags AS SELECT 'fhir_integration'::text AS feature_name, true AS enabled,
              100 AS rollout_percentage, '{}'::uuid[] AS enabled_for_users`);
      return value(c, "SELECT public.is_feature_enabled_for_user('fhir_integration')");
    });
    expect(answer).to.equal(false);
  });

  test("F-7: who may read and write is decided by database roles, without a look at auth.users or at claims", async (client, db) => {
    const admin = await db.connect("admin");
    const read = "SELECT count(*) FROM public.feature_flags";
    expect(await valueAs(admin, "guardian_operator", null, read)).to.equal("12");
    expect(await service(admin, read)).to.equal("12");
    const claims = {
      app_metadata: { role: "admin" },
      user_metadata: { role: "admin" },
      email: "a@guardian.health",
    };
    for (const sql of [read, "UPDATE public.feature_flags SET enabled = true", "DELETE FROM public.feature_flags"]) {
      const said = await refusal(asRole(client, "authenticated", user(1), (c) => c.query(sql), claims));
      expect(said, sql).to.deep.equal({ code: "42501", message: "permission denied for table feature_flags" });
    }
  });

  test("F-8: users see whether they have a feature, and nobody else's state", async (client) => {
    await set(client, `enabled = true, enabled_for_users = '{${user(1)}}'`);
    await asRole(client, "authenticated", user(1), async (c) => {
      expect(await value(c, "SELECT public.is_feature_enabled_for_user($1)", [flag])).to.equal(true);
      expect(await value(c, enabled, [flag, user(1)])).to.equal(true);
      const { rows } = await c.query("SELECT * FROM public.my_feature_flags() WHERE enabled");
      expect(rows).to.deep.equal([{ feature_name: flag, enabled: true }]);
    });
    await asRole(client, "authenticated", user(2), async (c) => {
      const { rows, fields } = await c.query("SELECT * FROM public.my_feature_flags()");
      expect(fields.map((field) => field.name)).to.deep.equal(["feature_name", "enabled"]);
      expect(rows.filter((row: { enabled: boolean }) => row.enabled)).to.deep.equal([]);
      expect(rows).to.have.length(12);
    });
    const said = await refusal(queryAs(client, "authenticated", user(2), enabled, [flag, user(1)]));
    expect(said).to.deep.equal({ code: "42501", message: "a user may ask for his own features only" });
    expect(await service(client, enabled, [flag, user(1)])).to.equal(true);
  });

  test("F-9: the percentage is never NULL, the check is STABLE, updated_at follows changes and only changes", async (client) => {
    for (const bad of ["NULL", "-1", "101"]) {
      await expectRefusal(bad === "NULL" ? "23502" : "23514", set(client, `rollout_percentage = ${bad}`));
    }
    await expectRefusal("23514", set(client, "enabled_for_users = '{NULL}'"));
    const volatility =
      "SELECT provolatile FROM pg_proc WHERE oid = 'public.is_feature_enabled_for_user(text, uuid)'::regprocedure";
    expect(await value(client, volatility)).to.equal("s");
    const changed = "SELECT count(*) FROM public.feature_flags WHERE updated_at > created_at";
    await set(client, "enabled = false, rollout_percentage = 0");
    expect(await value(client, changed), "nothing changed").to.equal("0");
    await set(client, "enabled = true");
    expect(await value(client, changed)).to.equal("1");
  });

  test("F-10: one definition, which can go and come again", async (client, _, engine) => {
    await engine.undo("001_feature_flags");
    await engine.applyReal("001_feature_flags");
    const definitions = "SELECT count(*) FROM pg_proc WHERE proname = 'is_feature_enabled_for_user'";
    expect(await value(client, definitions)).to.equal("1");
    expect(await value(client, "SELECT public.is_feature_enabled_for_user('fhir_integration')")).to.equal(false);
  });
});
