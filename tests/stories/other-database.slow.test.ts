import { expect } from "chai";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { afterUp } from "../support/migrated";
import { withCopyOf, withV6 } from "../support/postgres";
import { withStack } from "../support/stack";
import { count } from "../support/modules";
import { differences } from "../support/story";

describe("state and database belong together", function () {
  this.timeout(600_000);

  // engine/ledger/owner.test.ts has what is refused, below the CLI.
  it("the state of one database used against another: up, refresh and destroy are refused before any write", function () {
    return afterUp(async ({ stack, db }) => {
      await withV6(async (other) => {
        const client = await other.connect();
        const before = await quickFingerprint(client);
        await withStack({ database: other.migrator, folder: stack.folder }, async (same) => {
          for (const verb of ["preview", "up", "refresh", "destroy"] as const) {
            const { output } = await same[verb]({ expectFailure: true });
            expect(output, verb).to.contain("this stack's state belongs to another database; nothing was changed here");
            expect(output, verb)
              .to.contain(`connected to: database ${other.name}`)
              .and.to.contain("to do: point the connection");
          }
        });
        expect(differences(before, await quickFingerprint(client))).to.deep.equal([]);
      });
      const client = await db.connect();
      expect(await count(client, "guardian_migration.module WHERE undone_at IS NULL")).to.be.greaterThan(3);
    });
  });

  it("a copy of a migrated database, ledger and all: refused too", function () {
    return afterUp(async ({ stack, db, client }) => {
      await client.end();
      await withCopyOf(db.name, async (copy) => {
        await withStack({ database: copy.migrator, folder: stack.folder }, async (same) => {
          const { output } = await same.up({ expectFailure: true });
          expect(output).to.contain("belongs to another database").and.to.contain(`a copy of database ${db.name}`);
        });
        await withStack({ database: copy.migrator }, async (fresh) => {
          const { output } = await fresh.preview({ expectFailure: true });
          expect(output).to.contain("this is a copy, or a restored dump").and.to.contain("guardian:adopt");
        });
      });
    });
  });

  it("two stacks on one database: the second is refused with the way out, which then works; destroyed, it leaves the database free for a third", function () {
    return afterUp(async ({ stack, db, client }) => {
      const applied = await count(client, "guardian_migration.module");
      await withStack({ database: db.migrator, name: "second" }, async (second) => {
        for (const verb of ["preview", "up"] as const) {
          const { output } = await second[verb]({ expectFailure: true });
          expect(output, verb).to.contain("another stack migrates this database: dev::guardian");
          expect(output, verb).to.match(/pulumi config set guardian:adopt [0-9a-f-]{36}/);
        }
        const { rows } = await client.query<{ id: string }>("SELECT id FROM guardian_migration.ledger");
        second.set({ adopt: rows[0]!.id });
        await second.up();
        expect(await count(client, "guardian_migration.module")).to.equal(applied, "nothing was applied a second time");
        const { output } = await stack.up({ expectFailure: true });
        expect(output).to.contain("the ledger has this migration under the stack second, and this is dev");
        expect(output).to.contain("if second took it over: use that stack");
        await second.destroy();
        expect(await count(client, "guardian_migration.module WHERE undone_at IS NULL")).to.equal(0);
      });
      const third = { database: db.migrator, name: "third", config: { through: "infrastructure" } };
      await withStack(third, async ({ up, destroy }) => {
        await up();
        await destroy();
      });
    });
  });
});
