import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { readLedger, readPhysical } from "../../../engine/ledger/identity";
import { refuseForeign } from "../../../engine/ledger/owner";
import { ledgerFormat } from "../../../engine/ledger/schema";
import { readSteps } from "../../../engine/ledger/steps";
import { withClient } from "../../../scripts/v6/database";
import type { V6 } from "../../support/postgres";
import { column, Engine, moduleOf, refusalOf, until, withEngine } from "../module/harness";
import { close, files } from "./owned";

/** What a preview asks: may this stack work here? */
const plan = (engine: Engine, adopt?: string): Promise<void> =>
  engine.host.read(async (db) => {
    const ledger = await readLedger(db);
    if (ledger) refuseForeign(ledger, await readPhysical(db), await readSteps(db), engine.stack, adopt);
  });

/** Another operator's process on the same database, or on another. */
async function beside<T>(login: V6["migrator"], stack: string, work: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = new Engine(login, { stack });
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}

/** A copy of a database, as CREATE DATABASE … TEMPLATE makes it, or the database under another name. */
async function moved<T>(
  db: V6,
  sql: (from: string, to: string) => string,
  back: (from: string, to: string) => string,
  work: (login: V6["migrator"]) => Promise<T>,
): Promise<T> {
  const [from, to] = [escapeIdentifier(db.name), escapeIdentifier(`${db.name}_copy`)];
  const server = { ...db.admin, database: "postgres" };
  await withClient(server, async (client) => {
    await until(client, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", [db.name]);
    await client.query(sql(from, to));
  });
  try {
    return await work({ ...db.migrator, database: `${db.name}_copy` });
  } finally {
    await withClient(server, async (client) => {
      await until(client, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", [`${db.name}_copy`]);
      await client.query(back(from, to));
    });
  }
}

const copied = <T>(db: V6, work: (login: V6["migrator"]) => Promise<T>): Promise<T> =>
  moved(
    db,
    (from, to) => `CREATE DATABASE ${to} TEMPLATE ${from}`,
    (_from, to) => `DROP DATABASE ${to}`,
    work,
  );
const renamed = <T>(db: V6, work: (login: V6["migrator"]) => Promise<T>): Promise<T> =>
  moved(
    db,
    (from, to) => `ALTER DATABASE ${from} RENAME TO ${to}`,
    (from, to) => `ALTER DATABASE ${to} RENAME TO ${from}`,
    work,
  );

describe("the ledger's owner", function () {
  this.timeout(60_000);

  it("opens it once, and adopts what it says is done for its own URN", () =>
    withEngine(async (engine, db) => {
      const { ledgerId } = await engine.identity();
      const { applyId } = await engine.apply(await moduleOf("900_t", files));
      // The state is lost; the stack begins anew under its own name.
      await beside(db.migrator, engine.stack, async (again) => {
        expect(await again.open()).to.equal(ledgerId);
        expect(await again.apply(await moduleOf("900_t", files))).to.deep.equal({ applyId, restored: 0n });
      });
      expect((await engine.steps()).map(({ kind, state, attempt }) => ({ kind, state, attempt }))).to.deep.equal([
        { kind: "Ledger", state: "done", attempt: 1 },
        { kind: "SqlModule", state: "done", attempt: 1 },
      ]);
    }));

  it("another stack is refused in plan and in write, until all is undone", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      await beside(db.migrator, "prod::guardian", async (other) => {
        for (const attempt of [plan(other), other.open()]) {
          const said = await refusalOf(attempt);
          expect(said.what).to.equal("another stack migrates this database: dev::guardian");
          expect(said.todo[1]).to.match(/pulumi config set guardian:adopt [0-9a-f-]{36}$/);
        }
        await engine.undo("900_t");
        expect((await refusalOf(plan(other))).where).to.match(/ 1 steps that are not undone$/);
        await close(engine);
        await plan(other);
        await other.open();
        await other.apply(await moduleOf("900_t", files));
        expect((await refusalOf(plan(engine))).what).to.equal("another stack migrates this database: prod::guardian");
      });
    }));

  it("a wrong id does not adopt, the right one takes everything over, and the other stack is out", () =>
    withEngine(async (engine, db) => {
      const module = await moduleOf("900_t", files);
      const { applyId } = await engine.apply(module);
      const { ledgerId } = await engine.identity();
      await beside(db.migrator, "prod::guardian", async (other) => {
        await refusalOf(other.open(ledgerId.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))));
        await plan(other, ledgerId);
        expect(await other.open(ledgerId)).to.equal(ledgerId);
        expect(await other.apply(module)).to.deep.equal({ applyId, restored: 0n });
        expect([...new Set((await other.steps()).map((step) => step.urn.split("::")[0]))]).to.deep.equal([
          "urn:pulumi:prod",
        ]);
        expect((await refusalOf(engine.open())).what).to.equal("another stack migrates this database: prod::guardian");
        await other.undo("900_t");
      });
    }));

  it("two histories under one name become one, in the order in which things happened", () =>
    withEngine(async (engine, db) => {
      const module = await moduleOf("900_t", files);
      const client = await db.connect();
      const { ledgerId } = await engine.identity();
      const states =
        "SELECT attempt || ' ' || state FROM guardian_migration.step WHERE kind = 'SqlModule' ORDER BY attempt";
      for (let life = 0; life < 2; life++) {
        await engine.apply(module);
        await engine.undo("900_t");
      }
      await close(engine);
      await beside(db.migrator, "prod::guardian", async (other) => {
        await other.open();
        for (let life = 0; life < 4; life++) {
          await other.apply(module);
          if (life < 3) await other.undo("900_t");
        }
      });
      await engine.open(ledgerId);
      expect(await column(client, states)).to.deep.equal(
        Array.from({ length: 11 }, (_, i) => `${i + 1} ${i % 2 === 0 ? "done" : "undone"}`),
      );
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
      // Adopting once more, as the config goes on saying, changes nothing.
      await engine.open(ledgerId);
      expect(await engine.undo("900_t")).to.equal(0n);
    }));

  it("state of one database is refused in another, in a copy, and under another name", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      const here = await engine.identity();
      await engine.close();
      for (const [place, what] of [
        [copied, /, a copy of database /],
        [renamed, /, a copy of database /],
      ] as const) {
        await place(db, (login) =>
          beside(login, engine.stack, async (there) => {
            const said = await refusalOf(
              there.write("SqlModule", "900_t", () => Promise.reject(new Error("it wrote")), { expect: here }),
            );
            expect(said.what).to.equal("this stack's state belongs to another database; nothing was changed here");
            expect(said.where).to.match(what).and.contain(`state: database ${db.name} of cluster`);
            await refusalOf(there.host.assertSame(here));
          }),
        );
      }
    }));

  it("a copy's ledger says nothing of the copy; adopted, it does", () =>
    withEngine(async (engine, db) => {
      const module = await moduleOf("900_t", files);
      await engine.apply(module);
      const { ledgerId } = await engine.identity();
      await engine.close();
      await copied(db, (login) =>
        beside(login, engine.stack, async (there) => {
          for (const attempt of [plan(there), there.open()]) {
            const said = await refusalOf(attempt);
            expect(said.what).to.equal(
              "the ledger in this database was made for another one: this is a copy, or a restored dump",
            );
            expect(said.todo[0]).to.equal(
              `if this database takes the other's place: pulumi config set guardian:adopt ${ledgerId}`,
            );
          }
          await there.open(ledgerId);
          await plan(there);
          await there.undo("900_t");
        }),
      );
    }));

  it("a ledger of a newer product is refused, and so is half of one", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await client.query("UPDATE guardian_migration.ledger SET format = 99");
      for (const attempt of [plan(engine), engine.open()]) {
        expect((await refusalOf(attempt)).message).to.equal(
          `the ledger in this database has format 99, this product knows up to ${ledgerFormat} [ledger-too-new]\n  where: schema guardian_migration\n` +
            "  to do: use the release of this product that wrote it, or a newer one",
        );
      }
      await client.query("DROP SCHEMA guardian_migration CASCADE");
      const said = await refusalOf(engine.open());
      expect(said.where).to.equal(`database ${db.name}, schema guardian_archive`);
      await client.query("DROP SCHEMA guardian_archive");
      await engine.open();
    }));
});
