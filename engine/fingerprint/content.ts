import { fromPostgres } from "../base/errors";
import type { Askable } from "../base/sql";
import type { Fact } from "./types";

const userSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])`;

/** Settings that change how a row looks as text, so that any two sessions get the same digests. */
export const textSettings = `
  SET LOCAL search_path = ''; SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
  SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex';
  SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = 'content'`;

/**
 * Rows and content of every table, reckoned in the server: the sum of a 64-bit hash of each row's text, so that their order
 * does not matter and two equal rows do not cancel. With `tuples` the hash takes in where the row lies and which transaction wrote
 * it, so that an update that changes nothing shows too. Hashes compare on the same server only.
 *
 * @throws GuardianError naming the table that may not be read in full.
 */
export async function readTables(client: Askable, aside: readonly string[], tuples = false): Promise<Fact[]> {
  const facts: Fact[] = [];
  for (const table of await relations(client, aside, ["r", "m"])) {
    const row = tuples ? "ROW(t.ctid, t.xmin, t.*)" : "ROW(t.*)";
    const { rows } = await client
      .query<{ n: string; digest: string }>(
        `SELECT count(*)::text AS n, coalesce(sum(hashtextextended(${row}::text COLLATE "C", 0)::numeric), 0)::text AS digest
         FROM ONLY ${table} AS t`,
      )
      .catch((err: unknown) => {
        throw fromPostgres(err, `fingerprint of ${table}`, [
          `GRANT SELECT ON ${table} to the user who takes it`,
          "use a user that row level security does not stop (BYPASSRLS)",
        ]);
      });
    facts.push({ name: table, value: `${rows[0]?.n ?? 0} rows, content ${rows[0]?.digest ?? 0}` });
  }
  return facts;
}

/** The state of every sequence: a number once drawn is gone even if the transaction was rolled back. */
export async function readSequences(client: Askable, aside: readonly string[]): Promise<Fact[]> {
  const facts: Fact[] = [];
  for (const name of await relations(client, aside, ["S"])) {
    const { rows } = await client
      .query<{ value: string }>(
        `SELECT last_value || CASE WHEN is_called THEN ' used' ELSE ' unused' END AS value FROM ${name}`,
      )
      .catch((err: unknown) => {
        throw fromPostgres(err, `fingerprint of ${name}`, `GRANT SELECT ON ${name} to the user who takes it`);
      });
    facts.push({ name, value: rows[0]?.value ?? "" });
  }
  return facts;
}

/**
 * Large objects: owner, rights and content. Whoever may not read one gets an error, since "unchanged" could not be said.
 *
 * @throws GuardianError when a large object may not be read.
 */
export async function readLargeObjects(client: Askable): Promise<Fact[]> {
  const { rows } = await client.query<{ oid: string; about: string }>(
    `SELECT oid::text, concat_ws(' ', pg_get_userbyid(lomowner), lomacl) AS about FROM pg_largeobject_metadata ORDER BY oid`,
  );
  const facts: Fact[] = [];
  for (const { oid, about } of rows) {
    const content = await client
      .query<{ digest: string }>("SELECT encode(sha256(lo_get($1::oid)), 'hex') AS digest", [oid])
      .catch((err: unknown) => {
        throw fromPostgres(err, `large object ${oid}`, "take the fingerprint as its owner or a superuser");
      });
    facts.push({ name: oid, value: `${about} content ${content.rows[0]?.digest ?? ""}` });
  }
  return facts;
}

/** Names, quoted where need be, of the relations of some kinds (pg_class.relkind) outside the schemas left aside. */
async function relations(client: Askable, aside: readonly string[], kinds: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind::text = ANY ($2::text[]) AND (c.relkind <> 'm' OR c.relispopulated) AND ${userSchemas} ORDER BY n.nspname, c.relname`,
    [aside, kinds],
  );
  return rows.map((row) => row.name);
}
