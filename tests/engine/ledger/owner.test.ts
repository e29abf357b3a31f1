import { expect } from "chai";
import { readLedger, readPhysical, type DatabaseIdentity } from "../../../engine/ledger/identity";
import { refuseForeign } from "../../../engine/ledger/owner";
import { ledgerFormat } from "../../../engine/ledger/schema";
import { readSteps } from "../../../engine/ledger/steps";
import { withClient } from "../../../scripts/v6/database";
import { column, type Engine, moduleOf, refusalOf, withEngine } from "../module/harness";
import { beside, close, copied, files, renamed } from "./owned";

/** What a preview asks: may this stack work here? */
const plan = (engine: Engine, adopt?: string): Promise<void> =>
  engine.host.read(async (db) => {
    const ledger = await readLedger(db);
    if (ledger) refuseForeign(ledger, await readPhysical(db), await readSteps(db), engine.stack, adopt);
  });

describe("the ledger's owner", function () {
  this.timeout(60_000);

  it("opens it once, and adopts what it says is done for its own URN", () =>
    withEngine(async (engine, db) => {
      const { ledgerId } = await engine.identity();
      const { applyId } = await engine.apply(await moduleOf("900_t", files));
      // The state is lost; the stack begins anew under its own name.
      await beside(db.migrator, {}, async (again) => {
        expect(await again.open()).to.equal(ledgerId);
        expect(await again.apply(await moduleOf("900_t", files))).to.deep.equal({
          applyId,
          restored: 0n,
          beaten: 0n,
          leftOut: 0n,
          refused: [],
        });
      });
      expect((await engine.steps()).map(({ kind, state, attempt }) => ({ kind, state, attempt }))).to.deep.equal([
        { kind: "Ledger", state: "done", attempt: 1 },
        { kind: "SqlModule", state: "done", attempt: 1 },
      ]);
    }));

  it("another stack is refused in plan and in write, until all is undone", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      await beside(db.migrator, { stack: "prod::guardian" }, async (other) => {
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
      const client = await db.connect();
      // As a data migration leaves them.
      await client.query(`INSERT INTO guardian_migration.batch (urn, step_id, target, epoch)
          SELECT urn, id, 'public.t', 0 FROM guardian_migration.step WHERE urn LIKE '%::900_t';
        INSERT INTO guardian_migration.range SELECT urn, 1, '{1}', '{2}', 2 FROM guardian_migration.batch;
        INSERT INTO guardian_migration.reject SELECT urn, '{1}', '23505' FROM guardian_migration.batch`);
      await beside(db.migrator, { stack: "prod::guardian" }, async (other) => {
        await refusalOf(other.open(ledgerId.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))));
        await plan(other, ledgerId);
        expect(await other.open(ledgerId)).to.equal(ledgerId);
        expect(await other.apply(module)).to.deep.equal({
          applyId,
          restored: 0n,
          beaten: 0n,
          leftOut: 0n,
          refused: [],
        });
        expect([...new Set((await other.steps()).map((step) => step.urn.split("::")[0]))]).to.deep.equal([
          "urn:pulumi:prod",
        ]);
        for (const table of ["module", "batch", "range", "reject"]) {
          const whose = `SELECT DISTINCT split_part(urn, '::', 1) FROM guardian_migration.${table}`;
          expect(await column(client, whose), table).to.deep.equal(["urn:pulumi:prod"]);
        }
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
      await engine.apply(module);
      await engine.undo("900_t");
      await close(engine);
      await beside(db.migrator, { stack: "prod::guardian" }, async (other) => {
        await other.open();
        await other.apply(module);
        await other.undo("900_t");
        await other.apply(module);
      });
      await engine.open(ledgerId);
      expect(await column(client, states)).to.deep.equal(["1 done", "2 undone", "3 done", "4 undone", "5 done"]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
      // Adopting once more, as the config goes on saying, changes nothing.
      await engine.open(ledgerId);
      expect(await engine.undo("900_t")).to.equal(0n);
    }));

  const written = (engine: Engine, expect: DatabaseIdentity): Promise<unknown> =>
    engine.write("SqlModule", "900_t", () => Promise.resolve(), { expect });

  it("state of one database is refused in a copy", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      const here = await engine.identity();
      await engine.close();
      await copied(db, (login) =>
        beside(login, {}, async (there) => {
          // Though the copy be taken over, the state stays the other database's.
          for (const adopts of [undefined, here.ledgerId]) {
            there.host.adopts = adopts;
            const said = await refusalOf(written(there, here));
            expect(said.what).to.equal("this stack's state belongs to another database; nothing was changed here");
            expect(said.where).to.contain(", a copy of database ").and.contain(`state: database ${db.name} of cluster`);
            await refusalOf(there.host.assertSame(here));
          }
          await there.open(here.ledgerId);
          await refusalOf(written(there, here));
          const former = "SELECT former_names FROM guardian_migration.ledger";
          expect(await withClient(login, (client) => column(client, former))).to.deep.equal([[]]);
        }),
      );
    }));

  it("16-2: a database that was renamed is no copy: it says so, and one setting takes the new name over", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      const here = await engine.identity();
      await engine.close();
      await renamed(db, (login) =>
        beside(login, {}, async (there) => {
          for (const attempt of [() => plan(there), () => there.open(), () => written(there, here)]) {
            const said = await refusalOf(attempt());
            expect(said.code).to.equal("database-renamed");
            expect(said.what).to.contain(`it was ${db.name} and is ${db.name}_copy`);
            expect(said.todo[0]).to.equal(
              `if it is no copy, take the new name over: pulumi config set guardian:adopt ${here.ledgerId}, then up`,
            );
          }
          there.host.adopts = here.ledgerId;
          await written(there, here);
          await there.open(here.ledgerId);
          there.host.adopts = undefined;
          // The state of before is of this database still, and the name may go on being told.
          await written(there, here);
          await there.open(here.ledgerId);
          await written(there, { ...here, database: login.database });
          expect((await refusalOf(written(there, { ...here, database: "yet_another" }))).code).to.equal(
            "state-of-another-database",
          );
        }),
      );
      // Named as it was before, it was renamed once more.
      await beside(db.migrator, {}, async (back) => {
        expect((await refusalOf(plan(back))).code).to.equal("database-renamed");
        await back.open(here.ledgerId);
        await back.undo("900_t");
      });
    }));

  it("16-2: where an older release did not note by which to tell, a renamed database may be a copy, and is told so", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await client.query("UPDATE guardian_migration.ledger SET database_oid = NULL");
      await client.end();
      const here = await engine.identity();
      await engine.close();
      await renamed(db, (login) =>
        beside(login, {}, async (there) => {
          const said = await refusalOf(plan(there));
          expect(said.what).to.match(/this is a copy, or a restored dump, or it was renamed$/);
          expect(said.todo[2]).to.equal(
            `if it was renamed: give it the name ${db.name} back, up once, and rename it then`,
          );
          there.host.adopts = here.ledgerId;
          expect((await refusalOf(written(there, here))).code).to.equal("state-of-another-database");
        }),
      );
    }));

  it("a copy's ledger says nothing of the copy; adopted, it does", () =>
    withEngine(async (engine, db) => {
      const module = await moduleOf("900_t", files);
      await engine.apply(module);
      const { ledgerId } = await engine.identity();
      await engine.close();
      await copied(db, (login) =>
        beside(login, {}, async (there) => {
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
