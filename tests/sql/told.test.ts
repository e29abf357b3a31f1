import { expect } from "chai";
import { escapeIdentifier, type Client } from "pg";
import { queryAs, service, testOn } from "../support/modules";
import { listed, modules } from "./every_module";
import { claim, complete, documents, enqueue, fail, save } from "./006_queue";
import { claim as claimNotices, send, users } from "./007_notices";

/** Every column of every table and view of the modules that holds a text. */
async function holding(admin: Client, text: string): Promise<string[]> {
  const { rows } = await admin.query<{ relation: string; column: string }>(
    `SELECT a.attrelid::regclass::text AS relation, a.attname AS column FROM pg_attribute a
     WHERE a.attrelid = ANY ($1::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped`,
    [[...listed("table"), ...listed("view")]],
  );
  const one = ({ relation, column }: { relation: string; column: string }): string =>
    `SELECT '${relation}.${column}' AS line WHERE EXISTS (SELECT FROM ${relation} t WHERE strpos(t.${escapeIdentifier(column)}::text, $1) > 0)`;
  const found = await admin.query<{ line: string }>(rows.map(one).join(" UNION ALL "), [text]);
  return found.rows.map(({ line }) => line);
}

/** Functions, triggers among them, and rules whose text notifies, with what it notifies of. */
async function notifying(admin: Client): Promise<string[]> {
  const { rows } = await admin.query<{ name: string; call: string }>(
    `SELECT p.oid::regprocedure::text AS name, (regexp_matches(p.prosrc, '(pg_notify *\\([^;]*|\\mNOTIFY\\M[^;]*)', 'gi'))[1] AS call
     FROM unnest($1::text[]) AS f (name) JOIN pg_proc p ON p.oid = f.name::regprocedure
     UNION ALL SELECT r.rulename, pg_get_ruledef(r.oid) FROM pg_rewrite r
     WHERE r.ev_class = ANY ($2::regclass[]) AND pg_get_ruledef(r.oid) ~* 'notify' ORDER BY 1, 2`,
    [listed("function"), listed("table")],
  );
  return rows.map(({ name, call }) => `${name}: ${call}`);
}

const test = testOn(modules);

describe("what is told to everybody", function () {
  this.timeout(120_000);

  test("16-14 a lease's token is told to the worker that claims, and stands nowhere: no other worker ends its work", async (client, db) => {
    const admin = await db.connect("admin");
    const [document] = await documents(client);
    await save(client);
    await enqueue(client, document.id);
    const [user] = await users(client);
    await send(client, user);
    const [work, notice] = [(await claim(client))[0]!, (await claimNotices(client))[0]!];
    expect([await holding(admin, work.lease_token), await holding(admin, notice.lease_token)]).to.deep.equal([[], []]);
    expect(await holding(admin, work.id), "it is looked for where it would be").to.include(
      "document_processing_queue.id",
    );
    // The other worker reads all that it may, and tries all that looks like a token.
    const read = (table: string): Promise<string> =>
      service(client, `SELECT string_agg(to_jsonb(q)::text, ' ') FROM public.${table} AS q`);
    const tokens = async (table: string): Promise<string[]> => [
      ...new Set((await read(table)).match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g)),
    ];
    const stolen = await tokens("document_processing_queue");
    expect(stolen.length).to.be.above(4);
    for (const lease_token of stolen) {
      expect(await complete(client, { ...work, lease_token })).to.equal(false);
      expect(await fail(client, { ...work, lease_token })).to.equal(null);
      expect(await service(client, "SELECT public.heartbeat_document_work($1, $2)", [work.id, lease_token])).to.equal(
        false,
      );
    }
    const done = "SELECT public.complete_notification($1, $2, '{in_app}')";
    for (const token of await tokens("notification_queue")) {
      expect(await service(client, done, [notice.id, token])).to.equal(false);
      expect(await service(client, "SELECT public.fail_notification($1, $2, 'x')", [notice.id, token])).to.equal(null);
    }
    expect(await complete(client, work)).to.equal(true);
    expect(await service(client, done, [notice.id, notice.lease_token])).to.equal(true);
  });

  test("16-14 a notification says that something changed and nothing else: its channel is a constant, its payload empty", async (_client, db) => {
    const admin = await db.connect("admin");
    expect(await notifying(admin)).to.deep.equal(["notify_collaboration(): pg_notify('guardian_collaboration', '')"]);
    // PostgreSQL has no right to a channel: anon hears it, and forges it, with a payload too. README says what to make of it.
    const [anon, listener] = [await db.connect("admin"), await db.connect("admin")];
    const heard: string[] = [];
    listener.on("notification", ({ channel, payload }) => heard.push(`${channel} ${payload ?? ""}`));
    await listener.query("SET ROLE anon; LISTEN guardian_collaboration");
    await queryAs(anon, "anon", null, "SELECT pg_notify('guardian_collaboration', 'forged')");
    await listener.query("SELECT 1");
    expect(heard).to.deep.equal(["guardian_collaboration forged"]);
  });
});
