import { expect } from "chai";
import type { Client } from "pg";
import { readObjects } from "../../../engine/ledger/objects";
import { byModule, findDrift, type Drift, type Records } from "../../../engine/module/drift";
import { inventoryVersion, readInventory, type Inventory } from "../../../engine/module/inventory";
import { withClient } from "../../../scripts/v6/database";
import { long } from "../../support/long";
import { server } from "../../support/postgres";
import { column, moduleOf, withEngine } from "../module/harness";
import { besides, columns, harmless, notEverywhere, passedOver, type Altered } from "./columns";
import { facts } from "./facts";

/** Columns of a catalogue that one statement alters. */
interface Case extends Altered {
  catalogue: string;
  names: string[];
}

/** Each statement once, with all that it alters. */
function cases(there: ReadonlySet<string>): Case[] {
  const found = new Map<string, Case>();
  for (const [catalogue, entries] of Object.entries(columns)) {
    for (const [name, entry] of Object.entries(entries)) {
      if ("not" in entry || !there.has(`${catalogue}.${name}`)) continue;
      const key = [catalogue, entry.how, entry.given, entry.sql].join("\n");
      const one = found.get(key) ?? { ...entry, catalogue, names: [] };
      one.names.push(name);
      found.set(key, one);
    }
  }
  return [...found.values()];
}

/** The rows of a catalogue that are not the server's own: key → its columns, as text. */
async function rowsOf(client: Client, catalogue: string): Promise<Map<string, Record<string, string>>> {
  const keys = await column<string>(
    client,
    `SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::regclass
       AND (a.attnum = ANY ((SELECT i.indkey FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary)::smallint[])
         OR a.attrelid = 'pg_catalog.pg_depend'::regclass AND a.attnum > 0) ORDER BY a.attnum`,
    [`pg_catalog.${catalogue}`],
  );
  const own = catalogue === "pg_depend" ? "t.objid >= 16384" : `t.${keys[0]!}::oid >= 16384`;
  const { rows } = await client.query<Record<string, unknown>>(
    `SELECT pg_catalog.concat_ws(' ', ${keys.map((key) => `t.${key}`).join(", ")}) AS "the key", t.* FROM pg_catalog.${catalogue} t WHERE ${own}`,
  );
  return new Map(
    rows.map(({ "the key": key, ...row }) => [
      String(key),
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, JSON.stringify(value)])),
    ]),
  );
}

/** @returns those of the columns that the statement did not alter in the way that is claimed */
function untouched(one: Case, before: Awaited<ReturnType<typeof rowsOf>>, after: typeof before): string[] {
  const sameRows = [...before.keys()].every((key) => after.has(key)) && before.size === after.size;
  if (one.how === "row") return sameRows ? one.names : [];
  return one.names.filter(
    (name) => ![...before].some(([key, row]) => after.has(key) && after.get(key)?.[name] !== row[name]),
  );
}

/** What the ledger would see, had it recorded the module as the inventory tells it. */
function driftSince(was: Inventory, now: Inventory, records: Records, urn: string): Drift[] {
  const own = [...(records.get(urn)?.values() ?? [])].map((row) => ({ ...row, definition: was.get(row.object) ?? "" }));
  return findDrift(byModule(own), urn, new Map([[inventoryVersion, now]]));
}

describe("drift: the columns of the catalogue", function () {
  this.timeout(120_000);

  before(async () => {
    const { admin } = await server();
    await admin.query("SET allow_in_place_tablespaces = on");
    await admin.query("CREATE TABLESPACE guardian_elsewhere LOCATION ''");
  });
  after(async () => {
    await (await server()).admin.query("DROP TABLESPACE guardian_elsewhere");
  });

  /** Every column of every table in pg_catalog: `table.column`. */
  const allOf = (client: Client): Promise<string[]> =>
    column<string>(
      client,
      `SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1`,
    );

  it("16-11 are all decided about: seen, or not, and why", async () => {
    const all = await withClient({ ...(await server()), database: "postgres" }, allOf);
    const listed = Object.entries(columns).flatMap(([table, of]) => Object.keys(of).map((name) => `${table}.${name}`));
    const decided = (name: string): boolean => listed.includes(name) || name.slice(0, name.indexOf(".")) in passedOver;
    expect(
      all.filter((name) => !decided(name)),
      "columns of this server that nobody decided about",
    ).to.deep.equal([]);
    expect(
      listed.filter((name) => !all.includes(name) && !notEverywhere.includes(name)),
      "columns that no server has",
    ).to.deep.equal([]);
  });

  long("16-11 are each altered once by a statement and seen as drift, or listed with why not", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect("admin");
      const all = await allOf(client);
      const module = await moduleOf("900_facts", facts);
      await engine.apply(module);
      const urn = engine.urn("SqlModule", "900_facts");
      const records = byModule(await engine.host.read(readObjects));
      await client.query("BEGIN; SET LOCAL search_path = ''; SET LOCAL client_min_messages = error");
      const wrong: string[] = [];
      const asMade = await readInventory(client, ["public"]);
      expect(findDrift(records, urn, new Map([[inventoryVersion, asMade]]))).to.deep.equal([]);
      for (const one of cases(new Set(all))) {
        await client.query("SAVEPOINT one");
        try {
          if (one.given) await client.query(one.given);
          const was = one.given ? await readInventory(client, ["public"]) : asMade;
          const rows = await rowsOf(client, one.catalogue);
          await client.query(one.sql);
          const at = `${one.catalogue}.${one.names.join(", ")}: ${one.sql}`;
          const missed = untouched(one, rows, await rowsOf(client, one.catalogue));
          if (missed.length > 0) wrong.push(`${missed.join(", ")} not altered by ${at}`);
          const now = await readInventory(client, ["public"]);
          if (driftSince(was, now, records, urn).length === 0) wrong.push(`not seen: ${at}`);
        } catch (err) {
          wrong.push(`${one.catalogue}.${one.names.join(", ")}: ${one.sql}: ${String(err)}`);
        }
        await client.query("ROLLBACK TO one; RELEASE one");
      }
      for (const sql of besides) {
        await client.query(`SAVEPOINT one; ${sql}`);
        const now = await readInventory(client, ["public"]);
        if (driftSince(asMade, now, records, urn).length === 0) wrong.push(`not seen: ${sql}`);
        await client.query("ROLLBACK TO one; RELEASE one");
      }
      for (const sql of harmless) {
        await client.query(`SAVEPOINT one; ${sql}`);
        const found = driftSince(asMade, await readInventory(client, ["public"]), records, urn);
        if (found.length > 0) wrong.push(`is no drift: ${sql}: ${JSON.stringify(found)}`);
        await client.query("ROLLBACK TO one; RELEASE one");
      }
      await client.query("ROLLBACK");
      expect(wrong.join("\n")).to.equal("");
    }),
  );
});
