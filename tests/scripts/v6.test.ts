import { expect } from "chai";
import { randomBytes } from "node:crypto";
import type { Client } from "pg";
import { loadV6, volumes } from "../../scripts/v6/generate";
import { v6Tables } from "../../spec/roles";
import { asRole, withEmpty, withV6, type Major, type V6 } from "../support/postgres";

async function one<T>(client: Client, sql: string, values: unknown[] = []): Promise<T> {
  const { rows } = await client.query<{ value: T }>(`SELECT (${sql}) AS value`, values);
  return rows[0]!.value;
}

/** A digest of every row, the same on every version of PostgreSQL. */
async function digests(db: V6): Promise<string[]> {
  const client = await db.connect("admin");
  const found: string[] = [];
  for (const table of v6Tables) {
    found.push(
      await one(client, `SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text) COLLATE "C")) FROM ${table} t`),
    );
  }
  return found;
}

/** Makes a v6 in an empty database, with a fixed clock. */
async function load(on: Major, seed: string, users = 200): Promise<string[]> {
  return withEmpty(async (db) => {
    await loadV6(await db.connect("admin"), { users, seed, now: new Date("2026-01-02T03:04:05Z") });
    return digests(db);
  }, on);
}

describe("v6 fixture", function () {
  this.timeout(60_000);

  it("is the same for the same seed and clock on every PostgreSQL, and another for another seed", async () => {
    const first = await load(15, "a");
    expect(first).to.have.lengthOf(v6Tables.length);
    expect(await load(17, "a")).to.deep.equal(first);
    const other = await load(15, "b");
    other.forEach((digest, i) => expect(digest, v6Tables[i]).not.to.equal(first[i]));
  });

  for (const users of [1, 100, 1237]) {
    it(`counts ${users} users exactly, and the other rows in proportion`, async () => {
      await withV6(
        async (db) => {
          const client = await db.connect("admin");
          const rows: string[] = [];
          for (const table of v6Tables) rows.push(await one(client, `SELECT count(*) FROM ${table}`));
          // The profiles are last.
          const [all, documents, ...clinical] = rows.map(Number);
          const profiles = clinical.pop();
          const sum = clinical.reduce((a, b) => a + b, 0);
          expect({ users: all, profiles, documents, clinical: sum }).to.deep.equal({ users, ...volumes(users) });
        },
        { users },
      );
    });
  }

  it("says what a million users bring", () => {
    expect(volumes(1_000_000)).to.deep.equal({ profiles: 700_000, documents: 100_000, clinical: 200_000 });
  });

  it("has every awkward row from 100 users up", async () => {
    await withV6(
      async (db) => {
        const client = await db.connect("admin");
        const specimens = [
          "auth.users WHERE role IS NULL",
          "auth.users WHERE email IS NULL",
          "auth.users WHERE email <> lower(email)",
          "auth.users WHERE created_at IS NULL",
          "auth.users a JOIN auth.users b USING (email) WHERE a.is_sso_user AND NOT b.is_sso_user",
          "auth.users WHERE raw_user_meta_data ->> 'name' ~ '[^[:ascii:]]'",
          "auth.users WHERE raw_app_meta_data ->> 'role' = 'admin'",
          "auth.users WHERE created_at > now() - interval '1 day'",
          "auth.users u WHERE NOT EXISTS (SELECT FROM user_profiles p WHERE p.user_id = u.id)",
          ...["en-AU", "fr", "EN", "english", "", "xx!!", " de ", "en_US", "zh-Hant-TW"].map(
            (language) => `user_profiles WHERE language = '${language}'`,
          ),
          "user_profiles WHERE language IS NULL",
          ...["Mars/Olympus_Mons", "", "EST5EDT", "utc", "+10:00", "australia/sydney"].map(
            (zone) => `user_profiles WHERE timezone = '${zone}'`,
          ),
          "user_profiles WHERE timezone IS NULL",
          ...["documents", "patient_medications", "patient_lab_results"].map(
            (table) => `${table} WHERE user_id IS NULL`,
          ),
          "documents WHERE status IS NULL",
          "documents WHERE status = 'completed' AND normalization_status = 'failed'",
          "documents WHERE error_log IS NOT NULL",
          "documents WHERE original_name ~ '[^[:ascii:]]'",
          "documents WHERE original_name IS NULL",
          "patient_allergies WHERE severity = 'life-threatening'",
          "patient_allergies WHERE severity = 'unknown' AND status = 'unconfirmed'",
          "patient_medications WHERE status = 'unknown'",
          "patient_medications WHERE status IS NULL",
          "patient_conditions WHERE status IN ('unknown')",
          "patient_conditions WHERE status IN ('in_remission')",
          "patient_conditions WHERE status IN ('acute')",
          "patient_providers WHERE relationship_status = 'unknown'",
          ...["<5", "Positive", "120/80"].map((value) => `patient_lab_results WHERE result_value = '${value}'`),
          `patient_lab_results a JOIN patient_lab_results b ON a.id < b.id AND a.user_id = b.user_id
             AND (a.test_name, a.result_value, a.test_date) = (b.test_name, b.result_value, b.test_date)`,
          "patient_vitals WHERE (temperature_unit, weight_unit, height_unit) = ('F', 'lbs', 'in') AND weight > 0",
          "patient_vitals WHERE (temperature_unit, weight_unit, height_unit) = ('C', 'kg', 'cm') AND weight > 0",
        ];
        const missing: string[] = [];
        for (const specimen of specimens) {
          if (!(await one<boolean>(client, `SELECT EXISTS (SELECT FROM ${specimen})`))) missing.push(specimen);
        }
        expect(missing).to.deep.equal([]);
      },
      { users: 100 },
    );
  });

  it("keeps everybody an hour and more away from being a day old, and nothing in the future", async () => {
    await withV6(
      async (db) => {
        const client = await db.connect("admin");
        const near = "created_at BETWEEN now() - interval '25 hours' AND now() - interval '23 hours'";
        expect(await one(client, `SELECT count(*) FROM auth.users WHERE ${near}`)).to.equal("0");
        expect(
          await one(client, "SELECT count(*) > 100 FROM auth.users WHERE created_at > now() - interval '23 hours'"),
        ).to.equal(true);
        for (const table of v6Tables) {
          expect(await one(client, `SELECT count(*) FROM ${table} WHERE created_at > now()`), table).to.equal("0");
        }
      },
      { users: 10_000 },
    );
  });

  it("breaks none of its own keys and checks, though it was loaded with triggers off", async () => {
    await withV6(async (db) => {
      const client = await db.connect("admin");
      const { rows } = await client.query<{ table: string; name: string; definition: string }>(
        `SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS definition
         FROM pg_constraint WHERE contype IN ('f', 'c') AND connamespace IN ('public'::regnamespace, 'auth'::regnamespace)`,
      );
      expect(rows).to.have.lengthOf.at.least(27);
      for (const { table, name, definition } of rows) {
        await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${definition}`);
      }
      expect(await one(client, "SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'")).to.equal("0");
    });
  });

  it("can do without profiles", async () => {
    await withV6(
      async (db) => {
        expect(await one(await db.connect(), "SELECT to_regclass('public.user_profiles')")).to.equal(null);
      },
      { profiles: false },
    );
  });
});

describe("v6 fixture, what v6 does", function () {
  this.timeout(60_000);
  const code = (err: unknown) => (err as { code: string }).code;

  it("ends every completed document with a failed normalisation, and refuses one of 3 kB", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const complete = `INSERT INTO documents (s3_key, status, medical_data) VALUES ('x', 'completed', $1)
        RETURNING id`;
      const { rows } = await client.query<{ id: string }>(complete, ["{}"]);
      const outcome = await one<string>(
        client,
        "SELECT normalization_status || ' ' || (normalization_errors -> 0 ->> 'error') FROM documents WHERE id = $1",
        [rows[0]!.id],
      );
      expect(outcome).to.match(/^failed function http_post\(url => text, .* does not exist$/);
      const noise = randomBytes(3000).toString("base64"); // compression cannot save it
      expect(await client.query(complete, [JSON.stringify({ noise })]).catch(code)).to.equal("54000");
    });
  });

  it("keeps users apart and accounts out of the API roles' reach", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const owners = await client.query<{ user_id: string }>(
        "SELECT user_id FROM documents WHERE user_id IS NOT NULL ORDER BY 1 LIMIT 1",
      );
      const seen = await asRole(client, "authenticated", owners.rows[0]!.user_id, (c) =>
        c.query("SELECT DISTINCT user_id FROM documents"),
      );
      expect(seen.rows).to.deep.equal(owners.rows);
      for (const role of ["anon", "authenticated", "service_role"]) {
        const reading = asRole(client, role, null, (c) => c.query("SELECT FROM auth.users"));
        expect(await reading.catch(code), role).to.equal("42501");
        const truncating = asRole(client, role, null, (c) => c.query("TRUNCATE patient_vitals"));
        expect((await truncating).command, role).to.equal("TRUNCATE"); // Supabase's default rights are that wide
      }
    });
  });

  it("gives the migrator what Supabase's postgres has, and no more", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      await client.query("CREATE SCHEMA guardian_migration; CREATE TABLE t (id uuid REFERENCES auth.users (id))");
      await client.query("BEGIN; LOCK TABLE auth.users IN SHARE ROW EXCLUSIVE MODE; ROLLBACK");
      for (const refused of [
        "CREATE ROLE somebody",
        "SET ROLE supabase_auth_admin",
        "ALTER TABLE auth.users ADD COLUMN x int",
        "CREATE TABLE auth.t ()",
        "SET session_replication_role = replica",
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
      ]) {
        expect(await client.query(refused).catch(code), refused).to.equal("42501");
      }
    });
  });

  it("refuses a silly number of users and a database that is not empty", async () => {
    await withV6(async (db) => {
      const client = await db.connect("admin");
      expect(await loadV6(client, { users: 0 }).catch(String)).to.match(/users must be a whole number/);
      expect(await loadV6(client, { users: 10 }).catch(String)).to.match(/schema "extensions" already exists/);
      expect(await one(client, "SELECT count(*) FROM auth.users")).to.equal("300");
    });
  });
});
