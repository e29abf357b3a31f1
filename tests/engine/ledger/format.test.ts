import { expect } from "chai";
import type { Client } from "pg";
import { readWaiting } from "../../../engine/ledger/archived";
import { formatSteps } from "../../../engine/ledger/format";
import { readLedger } from "../../../engine/ledger/identity";
import { readObjects } from "../../../engine/ledger/objects";
import { ledgerFormat, ledgerTableNames } from "../../../engine/ledger/schema";
import { readInventory } from "../../../engine/module/inventory";
import { formatOf, toFacts1, toFormat1, toFormat2 } from "../../support/format-1";
import { column, type Engine, moduleOf, refusalOf, withEngine } from "../module/harness";
import { beside, files } from "./owned";

/** How the catalogue describes the ledger's tables, with their comments. */
async function shape(engine: Engine, client: Client): Promise<unknown> {
  const comments = await column(
    client,
    `SELECT concat_ws(' ', objoid::regclass, attname, description) FROM pg_description
     LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = nullif(objsubid, 0)
     WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text LIKE 'guardian_migration.%' ORDER BY 1`,
  );
  return [await engine.host.read((db) => readInventory(db, ["guardian_migration"])), comments];
}

/** All rows of the ledger's tables; who wrote last aside. */
async function contents(client: Client): Promise<Record<string, unknown[]>> {
  const all: Record<string, unknown[]> = {};
  for (const name of ledgerTableNames) {
    const text = `SELECT to_jsonb(t) - '{epoch,holder}'::text[] FROM guardian_migration.${name} t ORDER BY t::text`;
    all[name] = await column(client, text);
  }
  return all;
}

/** Two modules: one whose rows wait in the archive, one that stands with an index of its own. */
async function work(engine: Engine, client: Client): Promise<void> {
  await engine.apply(await moduleOf("900_t", files));
  await client.query("INSERT INTO public.t DEFAULT VALUES");
  expect(await engine.undo("900_t")).to.equal(1n);
  await engine.apply(
    await moduleOf("901_u", {
      yaml: "objects:\n  table: [public.u]\n  index: [public.u_n_idx]\n",
      up: "CREATE TABLE public.u (n integer);",
      down: "DROP TABLE public.u;",
      indexes: "CREATE INDEX CONCURRENTLY u_n_idx ON public.u (n);",
    }),
  );
}

describe("the ledger's format", function () {
  this.timeout(60_000);

  it("has a step from each to the next", () => {
    const formats = Array.from({ length: ledgerFormat - 1 }, (_none, i) => i + 2);
    expect(formatSteps.map(({ to }) => to)).to.deep.equal(formats);
  });

  it("is raised in place by the first write; the tables are those of a new ledger, and every row is there", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await work(engine, client);
      await toFacts1(client);
      const [made, held] = [await shape(engine, client), await contents(client)];
      expect(held["object"]?.map((row) => (row as { facts: number }).facts)).to.deep.equal([1, 1, 1]);
      await toFormat1(client);
      expect(await shape(engine, client)).to.not.deep.equal(made);

      const seen = await engine.host.read(async (tx) => ({
        format: (await readLedger(tx))?.format,
        objects: (await readObjects(tx)).map(({ object }) => object).sort(),
        waiting: (await readWaiting(tx)).map(({ original, rows }) => `${original} ${rows}`),
      }));
      expect(seen).to.deep.equal({
        format: 1,
        objects: ["index public.u_n_idx", "table public.u"],
        waiting: ["public.t 1"],
      });
      expect(await formatOf(client), "reading changes nothing").to.equal(1);

      await engine.write("SqlModule", "901_u", () => Promise.resolve());
      expect(engine.told.flatMap(({ phase, reason }) => (phase === "ledger format" ? [reason] : []))).to.deep.equal([
        "the ledger's format goes from 1 to 3: it notes by which version of the inventory each object was described; it notes by which a database that was renamed is told from a copy",
      ]);
      expect(await shape(engine, client)).to.deep.equal(made);
      expect(await contents(client)).to.deep.equal(held);
      expect(await engine.undo("901_u")).to.equal(0n);
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(1n);
    }));

  it("goes on from one between: a step that was taken is not taken again", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await work(engine, client);
      const [made, held] = [await shape(engine, client), await contents(client)];
      await toFormat2(client);
      expect(await shape(engine, client)).to.not.deep.equal(made);
      await engine.write("SqlModule", "901_u", () => Promise.resolve());
      expect(engine.told.flatMap(({ phase, reason }) => (phase === "ledger format" ? [reason] : []))).to.deep.equal([
        "the ledger's format goes from 2 to 3: it notes by which a database that was renamed is told from a copy",
      ]);
      expect(await shape(engine, client)).to.deep.equal(made);
      expect(await contents(client)).to.deep.equal(held);
    }));

  it("need not be raised by hand before a rollback", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await work(engine, client);
      await toFormat1(client);
      await engine.undo("901_u");
      expect(await column(client, "SELECT to_regclass('public.u')::text")).to.deep.equal([null]);
      expect(await engine.states("SqlModule", "901_u")).to.deep.equal({
        "": "undone",
        "index public.u_n_idx": "undone",
      });
    }));

  it("is raised as a whole or not at all", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await work(engine, client);
      await toFormat1(client);
      // What a step does last is refused, after all else of it was done.
      await client.query("ALTER TABLE guardian_migration.ledger ADD CONSTRAINT old CHECK (format = 1)");
      const before = await shape(engine, client);
      const failed = await engine.undo("901_u").catch((err: unknown) => err);
      expect(failed).to.have.property("code", "23514");
      expect(await shape(engine, client)).to.deep.equal(before);
      expect(await formatOf(client)).to.equal(1);
      expect(await engine.states("SqlModule", "901_u")).to.deep.include({ "": "done" });
    }));

  it("is not raised by a stack that is refused, but by one that takes the ledger over", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await work(engine, client);
      await toFormat1(client);
      const { ledgerId } = await engine.identity();
      await beside(db.migrator, { stack: "prod::guardian" }, async (other) => {
        expect((await refusalOf(other.open())).what).to.match(/^another stack migrates this database/);
        expect(await formatOf(client)).to.equal(1);
        await other.open(ledgerId);
        expect(await formatOf(client)).to.equal(ledgerFormat);
      });
    }));
});
