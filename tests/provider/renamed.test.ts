import { expect } from "chai";
import { withClient } from "../../scripts/v6/database";
import { copied, renamed } from "../engine/ledger/owned";
import type { Login } from "../support/postgres";
import { outcome, walkModules, withMade, withWalk, type Held, type Walk } from "../support/walk";
import { withEverything } from "./everything";
import { long } from "../support/long";

const adopting = (held: Held, adopt?: string): Held["inputs"] =>
  adopt === undefined ? held.inputs : { ...held.inputs, adopt };
const paths = async (walk: Walk, held: Held, adopt?: string): Promise<Record<string, string>> =>
  (await walk.diff(held, adopting(held, adopt))).paths;
const update = async (walk: Walk, held: Held, adopt?: string): Promise<Held> => {
  await walk.update(held, adopting(held, adopt), { preview: true });
  return walk.update(held, adopting(held, adopt));
};
/** What diff, read and delete say. */
const refusals = async (walk: Walk, held: Held, adopt?: string): Promise<string[]> => [
  await outcome(walk.diff(held, adopting(held, adopt))),
  await outcome(walk.read(held)),
  await outcome(walk.remove(held)),
];
/** Whether the first module is there. */
const there = (login: Login): Promise<unknown> =>
  withClient(login, async (client) => {
    const { rows } = await client.query<{ there: boolean }>(
      "SELECT to_regclass('public.audit_log') IS NOT NULL AS there",
    );
    return rows[0]?.there;
  });
const environments = (login: Login): Promise<string[]> =>
  withClient(login, async (client) => {
    const text = "SELECT migration_environment AS name FROM public.migration_sessions";
    return (await client.query<{ name: string }>(text)).rows.map(({ name }) => name);
  });

describe("provider: what was renamed", function () {
  this.timeout(120_000);

  it("16-2: a stack: says so, gives both ways, and takes the new name over with one setting", () =>
    withEverything(walkModules, async (made, db) => {
      // Pulumi writes the new name into every URN of the state.
      const held = made.map(({ held: one }) => ({ ...one, urn: one.urn.replace(":dev:", ":prod:") }));
      const [ledger, ...others] = held as [Held, ...Held[]];
      const id = ledger.state["ledgerId"] as string;
      const options = { database: db.migrator, stack: "prod" };
      await withWalk(options, async (walk) => {
        for (const one of held)
          for (const message of await refusals(walk, one))
            expect(message, one.urn)
              .to.contain("the ledger has this migration under the stack dev, and this is prod")
              .and.contain("either this stack was renamed, or dev took the migration over [ledger-of-another-stack]")
              .and.contain(`if it was renamed: pulumi config set guardian:adopt ${id}, then up`)
              .and.contain("pulumi stack rename dev")
              .and.contain("if dev took it over: use that stack");
      });
      // Preview: the ledger is dev's still, and only the Ledger changes.
      await withWalk(options, async (walk) => {
        expect(await paths(walk, ledger, id)).to.have.keys("adopt");
        for (const one of others) expect(await paths(walk, one), one.urn).to.deep.equal({});
      });
      await withWalk(options, async (walk) => {
        expect(await paths(walk, ledger, id)).to.have.keys("adopt");
        const adopted = await update(walk, ledger, id);
        expect(walk.said().join("\n")).to.contain(
          "takes over what the ledger has under dev::guardian, as prod::guardian",
        );
        for (const one of others) expect(await paths(walk, one), one.urn).to.deep.equal({});
        const session = others.find(({ id: name }) => name === "session")!;
        const inProd = { ...session.inputs, environment: "prod" };
        expect((await walk.diff(session, inProd)).paths).to.deep.equal({ environment: "update" });
        await walk.update(session, inProd);
        expect(await environments(db.migrator)).to.deep.equal(["prod"]);
        // The setting may stay, and may go.
        expect(await paths(walk, adopted)).to.deep.equal({});
        expect(await there(db.migrator)).to.equal(true);
        for (const one of [adopted, ...others].reverse()) await walk.remove(one);
        expect(await there(db.migrator)).to.equal(false);
      });
    }));

  it("16-2: renamed twice, with the same setting in its file: the second time it is an update too", () =>
    withMade(["000_audit_log"], async ({ ledger }, db) => {
      const id = ledger.state["ledgerId"] as string;
      let held = ledger;
      for (const [from, to] of [
        ["dev", "prod"],
        ["prod", "live"],
      ] as const) {
        held = { ...held, urn: held.urn.replace(`:${from}:`, `:${to}:`) };
        await withWalk({ database: db.migrator, stack: to }, async (walk) => {
          expect(Object.keys(await paths(walk, held, id))).to.deep.equal(["adopt"]);
          held = await update(walk, held, id);
          expect(await paths(walk, held, id)).to.deep.equal({});
        });
      }
    }));

  it("16-2: another stack's preview of a takeover says what is there, and not that strangers made it", () =>
    withMade(["000_audit_log"], async ({ ledger }, db) => {
      const ledgerId = ledger.state["ledgerId"]!;
      await withWalk({ database: db.migrator, stack: "prod" }, async (walk) => {
        const preview = { preview: true };
        const module = { module: "000_audit_log", ledgerId };
        await walk.create("Ledger", "ledger", { purge: false, adopt: ledgerId }, preview);
        const { urn } = await walk.create("SqlModule", "000_audit_log", module, preview);
        expect(walk.said(undefined, urn).join()).to.contain("it is in the database already and is taken over as it is");
      });
    }));

  long("16-2: a database: it is no copy, and one setting takes the new name over, in every resource's state", () =>
    withEverything(walkModules.slice(0, 3), async (all, db) => {
      const made = all.map(({ held }) => held);
      const [ledger, ...others] = made as [Held, ...Held[]];
      const id = ledger.state["ledgerId"] as string;
      await renamed(db, async (database) => {
        await withWalk({ database }, async (walk) => {
          for (const one of made)
            for (const message of await refusals(walk, one))
              expect(message, one.urn)
                .to.contain(`it was ${db.name} and is ${database.database}; nothing was changed [database-renamed]`)
                .and.contain(`pulumi config set guardian:adopt ${id}, then up`)
                .and.contain(`ALTER DATABASE`);
        });
        await withWalk({ database }, async (walk) => {
          expect(await paths(walk, ledger, id)).to.have.keys("adopt", "database");
          for (const one of others) expect(await paths(walk, one), one.urn).to.include({ database: "update, output" });
        });
        await withWalk({ database }, async (walk) => {
          await paths(walk, ledger, id);
          const now = [await update(walk, ledger, id)];
          for (const one of others) {
            expect(await paths(walk, one), one.urn).to.include({ database: "update, output" });
            now.push(await update(walk, one));
          }
          for (const one of now) {
            expect(one.state["database"], one.urn).to.deep.include({ database: database.database });
            expect(await paths(walk, one), one.urn).to.deep.equal({});
          }
          for (const one of now.reverse()) await walk.remove(one);
        });
        expect(await there(database)).to.equal(false);
      });
    }),
  );

  it("16-2: a copy is no renamed database, whatever is set: the state stays the other's", () =>
    withMade(["000_audit_log"], async ({ ledger, modules: held }, db) => {
      await copied(db, (database) =>
        withWalk({ database }, async (walk) => {
          for (const message of [
            ...(await refusals(walk, ledger, ledger.state["ledgerId"] as string)),
            ...(await refusals(walk, held[0]!)),
          ])
            expect(message).to.contain("[state-of-another-database]").and.contain(`a copy of database ${db.name}`);
        }),
      );
    }));
});
