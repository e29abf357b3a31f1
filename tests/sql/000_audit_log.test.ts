import { expect } from "chai";
import {
  count,
  as,
  describeLifecycle,
  expectRefusal,
  openBatch,
  queryAs,
  refusal,
  service,
  testOn,
  value,
  valueAs,
} from "../support/modules";

const modules = ["000_audit_log"];
const write = "SELECT public.write_audit_log('public.things', 'a,b', 'UPDATE', '{name}')";

const test = testOn(modules);

describe("000_audit_log", function () {
  this.timeout(60_000);

  describeLifecycle("000_audit_log", {
    "ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY": /missing \[public\.audit_log: row security\]/,
    "GRANT INSERT ON public.audit_log TO service_role": /not expected \[public\.audit_log: service_role may INSERT\]/,
    "GRANT UPDATE (actor) ON public.audit_log TO authenticated": /authenticated may UPDATE of actor/,
    "ALTER TABLE public.audit_log DISABLE TRIGGER audit_log_append_only": /audit_log_append_only .*DISABLED/,
    "DROP TRIGGER audit_log_append_only ON public.audit_log": /missing \[.*audit_log_append_only/,
    "ALTER POLICY audit_log_read ON public.audit_log TO authenticated": /to authenticated using true/,
    "CREATE POLICY more ON public.audit_log USING (true)": /not expected \[.*policy more for ALL to PUBLIC/,
    "ALTER TABLE public.audit_log DROP CONSTRAINT audit_log_record_key_check": /missing \[.*audit_log_record_key_check/,
    "DROP INDEX public.audit_log_record_idx": /missing \[.*audit_log_record_idx/,
    "GRANT EXECUTE ON FUNCTION public.caller_role() TO PUBLIC": /caller_role\(\): PUBLIC may EXECUTE/,
    "ALTER FUNCTION public.audit_row() RESET search_path": /audit_row\(\): definer, search_path NOT pinned/,
    "ALTER FUNCTION public.audit_row() SECURITY INVOKER": /audit_row\(\): invoker/,
    "DROP FUNCTION public.assert_module(text, text[])": /missing assert_module/,
  });

  test("K-7: no API role writes, changes, deletes or truncates the trail", async (client) => {
    await client.query(write);
    for (const role of ["anon", "authenticated", "service_role"]) {
      for (const sql of [
        "INSERT INTO public.audit_log (table_name, record_key, action, actor_role) VALUES ('a.b', 'c', 'INSERT', 'd')",
        "UPDATE public.audit_log SET actor = NULL",
        "DELETE FROM public.audit_log",
        "TRUNCATE public.audit_log",
        write,
      ]) {
        await expectRefusal("42501", queryAs(client, role, null, sql), `${role}: ${sql}`);
      }
    }
    expect(await count(client, "public.audit_log")).to.equal(1);
  });

  test("K-7: the owner cannot change the trail by accident, and is told so", async (client) => {
    await client.query(write);
    for (const sql of [
      "UPDATE public.audit_log SET actor = NULL",
      "DELETE FROM public.audit_log",
      "TRUNCATE public.audit_log",
    ]) {
      const said = await refusal(client.query(sql));
      expect(said.code).to.equal("42501");
      expect(said.message).to.equal(
        `${sql.split(" ")[0]} of public.audit_log is refused: the audit trail is append-only`,
      );
    }
  });

  test("K-7: the actor is the user of the request, and settings left empty by an ended one do no harm", async (client) => {
    await client.query(
      "CREATE FUNCTION public.act() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ " + write + " $$",
    );
    const user = await value<string>(client, "SELECT id FROM auth.users LIMIT 1");
    await queryAs(client, "authenticated", user, "SELECT public.act()");
    await client.query(
      "SELECT set_config('request.jwt.claims', '', false), set_config('request.jwt.claim.sub', '', false)",
    );
    await client.query("SELECT public.act()");
    const { rows } = await client.query("SELECT actor, actor_role FROM public.audit_log ORDER BY occurred_at");
    expect(rows).to.deep.equal([
      { actor: user, actor_role: "authenticated" },
      { actor: null, actor_role: "guardian_migrator" },
    ]);
  });

  test("K-7: audits tables without a column id, by one or several key columns, and names changed columns only", async (client) => {
    await client.query(`CREATE TABLE public.things (kind text, num int, name text, PRIMARY KEY (kind, num));
            CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON public.things FOR EACH ROW EXECUTE FUNCTION public.audit_row('kind', 'num');
            INSERT INTO public.things VALUES ('x', 7, 'SECRET-before');
            UPDATE public.things SET name = 'SECRET-after';
            DELETE FROM public.things`);
    const { rows } = await client.query(
      "SELECT table_name, record_key, action, changed_columns FROM public.audit_log ORDER BY occurred_at",
    );
    expect(rows).to.deep.equal([
      { table_name: "public.things", record_key: "x,7", action: "INSERT", changed_columns: [] },
      { table_name: "public.things", record_key: "x,7", action: "UPDATE", changed_columns: ["name"] },
      { table_name: "public.things", record_key: "x,7", action: "DELETE", changed_columns: [] },
    ]);
    expect(await value(client, "SELECT string_agg(a::text, '') FROM public.audit_log a")).not.to.contain("SECRET");
  });

  test("16-9: serialises keys only: what cannot be written as JSON keeps nobody from changing or deleting a row", async (client) => {
    // Whatever serialises it fails, as 256 MB of JSON do.
    await client.query(`CREATE TYPE public.heavy AS ENUM ('a', 'b');
        CREATE FUNCTION public.too_large(public.heavy) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '54000'; END $$;
        CREATE CAST (public.heavy AS json) WITH FUNCTION public.too_large(public.heavy);
        CREATE TABLE public.things (id int, part text, weight public.heavy, plain json, big text, updated_at timestamptz, PRIMARY KEY (id, part));
        CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON public.things FOR EACH ROW EXECUTE FUNCTION public.audit_row('id', 'part')`);
    await expectRefusal("54000", client.query("SELECT to_jsonb('a'::public.heavy)"));
    await client.query(`INSERT INTO public.things VALUES (1, 'x', 'a', '{}', repeat('b', 100000));
        UPDATE public.things SET weight = 'b', plain = '{ }', updated_at = now();
        UPDATE public.things SET big = big || 'c', plain = plain;
        DELETE FROM public.things`);
    const trail =
      "SELECT concat_ws(' ', record_key, action, changed_columns) AS line FROM public.audit_log ORDER BY occurred_at";
    expect((await client.query<{ line: string }>(trail)).rows.map(({ line }) => line)).to.deep.equal([
      "1,x INSERT {}",
      "1,x UPDATE {plain,weight}",
      "1,x UPDATE {big}",
      "1,x DELETE {}",
    ]);
  });

  test("K-7: a key that looks like an e-mail address or a sentence is refused", async (client) => {
    for (const key of ["jane@example.org", "Jane Doe", ""]) {
      await expectRefusal(
        "23514",
        client.query("SELECT public.write_audit_log('public.things', $1, 'UPDATE', '{}')", [key]),
      );
    }
  });

  test("a batch of the ledger is one only for the owner, in its own backend, while it runs", async (client, db) => {
    const batch = "00000000-0000-4000-8000-000000000001";
    await client.query(`CREATE TABLE public.things (id int);
            SELECT set_config('guardian_migration.batch', '${batch}', false)`);
    const ask = "SELECT public.is_ledger_batch('public.things')";
    await client.query("ALTER SCHEMA guardian_migration RENAME TO gone");
    expect(await value(client, ask), "no ledger").to.equal(false);
    await client.query("ALTER SCHEMA gone RENAME TO guardian_migration");
    await openBatch(client, batch);
    expect(await value(client, ask), "running here").to.equal(true);
    expect(await as(client, null, ask), "not the owner").to.equal(false);
    expect(await service(client, ask), "not the owner").to.equal(false);
    for (const forged of ["", "x", "00000000-0000-4000-8000-000000000002"]) {
      await client.query("SELECT set_config('guardian_migration.batch', $1, false)", [forged]);
      expect(await value(client, ask), `forged ${forged}`).to.equal(false);
    }
    await client.query("SELECT set_config('guardian_migration.batch', $1, false)", [batch]);
    await client.query("UPDATE guardian_migration.batch SET state = 'done'");
    expect(await value(client, ask), "done").to.equal(false);
    await client.query("UPDATE guardian_migration.batch SET state = 'running'");
    const other = await db.connect();
    await other.query("SELECT set_config('guardian_migration.batch', $1, false)", [batch]);
    expect(await value(other, ask), "another backend").to.equal(false);
  });

  test("knows service_role and operators from users, through SECURITY DEFINER", async (client, db) => {
    await client.query(`CREATE FUNCTION public.who() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
            SELECT concat_ws(' ', public.caller_role(), public.caller_is_trusted(), public.caller_is_operator()) $$`);
    const admin = await db.connect("admin");
    const seen = [];
    for (const role of ["anon", "authenticated", "service_role", "guardian_operator", "guardian_migrator"]) {
      seen.push(await valueAs(admin, role, null, "SELECT public.who()"));
    }
    seen.push(await value(admin, "SELECT public.who()"));
    expect(seen).to.deep.equal([
      "anon f f",
      "authenticated f f",
      "service_role t f",
      "guardian_operator t t",
      "guardian_migrator t t",
      "postgres t t",
    ]);
  });

  test("updated_at of a changed row is never that of the transaction that wrote it", async (client) => {
    await client.query(`BEGIN;
            CREATE TABLE public.things (id int, updated_at timestamptz DEFAULT now());
            CREATE TRIGGER t BEFORE UPDATE ON public.things FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
            INSERT INTO public.things VALUES (1)`);
    const late = "SELECT updated_at > transaction_timestamp() FROM public.things";
    expect(await value(client, late)).to.equal(false);
    await client.query("UPDATE public.things SET id = 2, updated_at = transaction_timestamp()");
    expect(await value(client, late)).to.equal(true);
    await client.query("ROLLBACK");
  });
});
