import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { stringify } from "yaml";
import { main } from "../../scripts/purge";
import { withV6, type Login, type V6 } from "../support/postgres";
import { movedHere, type Preparation } from "../support/server";
import { walkModules, withWalk } from "../support/walk";
import { withFolder } from "../support/folder";

interface Said {
  code: number;
  said: string;
}

/** What is typed; or what happens before it is. */
type Answer = string | (() => Promise<string>);

/** Runs the command in a project of its own, whose stack dev says where the database is. */
async function withProject<T>(
  database: unknown,
  work: (purge: (args: string[], answer?: Answer) => Promise<Said>, folder: string) => Promise<T>,
  env: Record<string, string> = {},
  stack = "dev",
): Promise<T> {
  return withFolder(async (folder) => {
    const purge = async (args: string[], answer?: Answer): Promise<Said> => {
      const said: string[] = [];
      const say = (line: string): void => void said.push(line);
      const given = typeof answer === "string" ? () => Promise.resolve(answer) : answer;
      const ask = given && ((question: string) => (say(question), given()));
      const named = stack === "" || args.includes("--stack") ? args : ["--stack", stack, ...args];
      const code = await main(named, { clone: folder, env, say, ask });
      return { code, said: said.join("\n") };
    };
    const config = database === undefined ? {} : { "guardian:database": database };
    writeFileSync(join(folder, "Pulumi.dev.yaml"), stringify({ config }));
    return await work(purge, folder);
  });
}

/** The stack's guardian:database, with the password in a file of the project. */
function configured({ host, port, database, user }: Login): Record<string, unknown> {
  return { host, port, database, user, sslmode: "disable", passwordFrom: "file:password" };
}

async function schemas(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'guardian\\_%' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

const both = ["guardian_archive", "guardian_migration"];

/** What a stack that was up to its infrastructure leaves; with the database in which it is still up. */
const infrastructure = (destroyed: boolean): Preparation => ({
  name: `infrastructure${destroyed ? ", destroyed" : ""}`,
  everyCopy: movedHere,
  prepare: (db) =>
    withWalk({ database: db.migrator }, async (walk) => {
      const { ledger, backup, modules } = await walk.through(walkModules.slice(0, 3));
      const session = await walk.create("MigrationSession", "session", walk.session(ledger.state["ledgerId"]!, 5));
      if (destroyed) for (const held of [session, ...modules.reverse(), backup, ledger]) await walk.remove(held);
    }),
});

/** A database in which a stack was up to its infrastructure, and was destroyed again. */
const withRemains = (work: (db: V6) => Promise<void>): Promise<void> =>
  withV6(work, { prepared: infrastructure(true) });

describe("npm run purge", function () {
  this.timeout(120_000);

  it("refuses while the stack is up, asks, drops archive and ledger, and then finds nothing", async () => {
    const standing = async (db: V6): Promise<void> =>
      withProject(configured(db.migrator), async (purge, folder) => {
        writePassword(folder, db.migrator.password);
        const { code, said } = await purge(["--yes"]);
        expect(code).to.equal(1);
        expect(said).to.match(
          /^Stack dev is not rolled back; nothing is dropped \[not-rolled-back\]\n {2}where: ledger, backup, 000_audit_log,/,
        );
        expect(said).to.contain("npm run pulumi -- destroy");
        expect(await schemas(await db.connect())).to.deep.equal(both);
      });
    await withV6(standing, { prepared: infrastructure(false) });
    await withRemains(async (db) => {
      await withProject(configured(db.migrator), async (purge, folder) => {
        writePassword(folder, db.migrator.password);
        const client = await db.connect();
        const unasked = await purge([]);
        expect(unasked.code).to.equal(2);
        // What would go is shown before anything is asked.
        expect(unasked.said).to.match(/\n {2}guardian_archive\.migration_sessions__3 +1\n/);
        expect(unasked.said).to.match(/\n {2}guardian_migration\.ledger +1\n/);
        expect(unasked.said).to.contain("There is no terminal to ask on; nothing was done");
        const mistyped = await purge([], "no");
        expect(mistyped).to.deep.include({ code: 1 });
        expect(mistyped.said).to.contain(`Type the database's name (${db.name})`);
        expect(mistyped.said).to.match(/\nnot confirmed; nothing was dropped \[not-confirmed\]$/);
        expect(await schemas(client)).to.deep.equal(both);
        const typed = await purge([], `${db.name}\n`);
        expect(typed.code, typed.said).to.equal(0);
        expect(typed.said).to.match(/\npurged: guardian_archive and guardian_migration are gone from \S+;/);
        expect(await schemas(client)).to.deep.equal([]);
        const again = await purge(["--yes"]);
        expect(again.code).to.equal(0);
        expect(again.said).to.match(/^nothing to purge: /);
        expect(unasked.said + typed.said + again.said).not.to.contain(db.migrator.password);
      });
    });
  });

  it("drops nothing at all if somebody else's object is in the way, or the ledger is gone", async () => {
    await withRemains(async (db) => {
      const { host, port, database, user, password } = db.migrator;
      // Nothing in the stack's file: libpq's variables count.
      const env = { PGHOST: host, PGPORT: String(port), PGDATABASE: database, PGUSER: user, PGPASSWORD: password };
      await withProject(
        undefined,
        async (purge) => {
          const client = await db.connect();
          // What was cut off is not rolled back.
          const end =
            "UPDATE guardian_migration.step SET state = $1 WHERE id = (SELECT max(id) FROM guardian_migration.step)";
          for (const state of ["planned", "running", "undoing"]) {
            await client.query(end, [state]);
            expect((await purge(["--yes"])).said, state).to.match(/^Stack dev is not rolled back; nothing is dropped/);
          }
          await client.query(end, ["undone"]);
          const inTheWay: [string, RegExp, string][] = [
            [
              "CREATE VIEW public.mine AS SELECT urn FROM guardian_migration.step",
              /where: view (public\.)?mine(;|\n)/,
              "DROP VIEW public.mine",
            ],
            [
              "CREATE TABLE guardian_archive.mine ()",
              /where: table guardian_archive\.mine(,|\n)/,
              "DROP TABLE guardian_archive.mine",
            ],
          ];
          for (const [make, named, drop] of inTheWay) {
            await client.query(make);
            const refused = await purge(["--yes"]);
            expect(refused.code, make).to.equal(1);
            expect(refused.said, refused.said).to.match(named);
            expect(await schemas(client)).to.deep.equal(both);
            expect((await client.query("SELECT FROM guardian_archive.migration_sessions__3")).rowCount).to.equal(1);
            await client.query(drop);
          }
          await client.query("DROP SCHEMA guardian_migration CASCADE");
          const unknown = await purge(["--yes"]);
          expect(unknown.code).to.equal(1);
          expect(unknown.said).to.match(/^There is no ledger, .*\n {2}where: found: schema guardian_archive\n/);
          expect(await schemas(client)).to.deep.equal(["guardian_archive"]);
        },
        env,
      );
    });
  });

  it("drops nothing that came while it asked: it shows what is there now, and is run again", async () => {
    await withRemains(async (db) => {
      await withProject(configured(db.migrator), async (purge, folder) => {
        writePassword(folder, db.migrator.password);
        const client = await db.connect();
        // What a colleague's up and destroy leave: one more archived table, or row.
        const more = `INSERT INTO guardian_archive.migration_sessions__3
          SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid()))).* FROM guardian_archive.migration_sessions__3 s`;
        const { code, said } = await purge([], () => client.query(more).then(() => db.name));
        expect(code, said).to.equal(1);
        expect(said).to.match(
          /\n {2}guardian_archive\.migration_sessions__3 +2\n[^]*; nothing was dropped \[archive-changed\]\n/,
        );
        expect(await schemas(client)).to.deep.equal(both);
        expect((await purge([], db.name)).code).to.equal(0);
        expect(await schemas(client)).to.deep.equal([]);
      });
    });
  });

  it("waits for whoever holds the migration's lock, and ends nobody", async () => {
    await withRemains(async (db) => {
      await withProject({ ...configured(db.migrator) }, async (purge, folder) => {
        writePassword(folder, db.migrator.password);
        const other = await db.connect();
        await other.query("SELECT pg_advisory_lock(x'47554152'::int, 1)");
        process.env["GUARDIAN_PATIENCE_MS"] = "200";
        try {
          const { code, said } = await purge(["--yes"]);
          expect(code).to.equal(1);
          expect(said).to.contain("another operation holds the migration's lock on this database");
        } finally {
          delete process.env["GUARDIAN_PATIENCE_MS"];
        }
        expect(await schemas(other)).to.deep.equal(both); // and the session that held the lock is alive
        await other.query("SELECT pg_advisory_unlock_all()");
        expect((await purge(["--yes"])).code).to.equal(0);
      });
    });
  });

  it("--lost shows and gives up what archived tables held that somebody dropped, and drops nothing", async () => {
    await withRemains(async (db) => {
      await withProject(configured(db.migrator), async (purge, folder) => {
        writePassword(folder, db.migrator.password);
        const client = await db.connect();
        expect((await purge(["--lost"])).said).to.match(/^nothing is lost: every archived table/);
        await client.query("DROP TABLE guardian_archive.migration_sessions__3");
        const unasked = await purge(["--lost"]);
        expect(unasked.code).to.equal(2);
        expect(unasked.said).to.match(/\n {2}guardian_archive\.migration_sessions__3 +1 +public\.migration_sessions\n/);
        const open = "SELECT count(*)::int AS n FROM guardian_migration.archived WHERE restored_at IS NULL";
        const waiting = async (): Promise<unknown> => (await client.query<{ n: number }>(open)).rows[0]!.n;
        const before = Number(await waiting());
        const typed = await purge(["--lost"], db.name);
        expect(typed.code, typed.said).to.equal(0);
        expect(typed.said).to.contain("to give these rows up");
        expect(typed.said).to.match(/\ngiven up: guardian_archive\.migration_sessions__3; the next up goes on/);
        expect(await waiting()).to.equal(before - 1);
        expect(await schemas(client)).to.deep.equal(both);
        expect((await purge(["--yes"])).code).to.equal(0);
        expect(await schemas(client)).to.deep.equal([]);
      });
    });
  });

  it("takes the stack that is selected, says so, and guesses none where none is", async () => {
    const unreachable = { host: "127.0.0.1", port: 1, database: "g", user: "u", sslmode: "disable" };
    const unnamed = async (purge: (args: string[]) => Promise<Said>, folder: string): Promise<void> => {
      writeFileSync(join(folder, "Pulumi.yaml"), "name: guardian\n");
      const config = { "guardian:database": { ...unreachable, port: 2 } };
      writeFileSync(join(folder, "Pulumi.prod.yaml"), stringify({ config }));
      const none = await purge(["--yes"]);
      expect(none.code).to.equal(1);
      expect(none.said)
        .to.match(/^No stack is selected, .*; nothing was done \[stack-unselected\]/)
        .and.contain("name it: --stack dev | prod");
      // As `pulumi stack select prod` leaves it in a clone's own backend.
      const home = join(folder, ".guardian", "pulumi-home", "workspaces");
      const key = createHash("sha1")
        .update(join(realpathSync(folder), "Pulumi.yaml"))
        .digest("hex");
      mkdirSync(home, { recursive: true });
      writeFileSync(join(home, `guardian-${key}-workspace.json`), '{"stack": "organization/guardian/prod"}');
      const selected = await purge(["--yes"]);
      expect(selected.said).to.match(/^the stack is prod, which is selected\n/);
      expect(selected.said).to.contain("127.0.0.1:2").and.not.contain("127.0.0.1:1");
      expect((await purge(["--stack", "dev", "--yes"])).said)
        .to.contain("127.0.0.1:1")
        .and.not.contain("selected");
    };
    // No login of whoever runs the tests.
    const nobody = { HOME: "/nonexistent" };
    await withProject(unreachable, unnamed, nobody, "");
    const byVariable = async (purge: (args: string[]) => Promise<Said>): Promise<void> => {
      expect((await purge(["--yes"])).said).to.match(/^the stack is dev, which is selected\n/);
    };
    await withProject(unreachable, byVariable, { ...nobody, PULUMI_STACK: "dev" }, "");
  });

  it("says what is wrong with the stack's file, and refuses wrong use with exit code 2", async () => {
    await withProject({ host: "127.0.0.1", prt: 1 }, async (purge, folder) => {
      expect(await purge(["--yes"])).to.deep.include({ code: 1 });
      expect((await purge(["--yes"])).said).to.match(/guardian:database\.prt[^]*where: .*Pulumi\.dev\.yaml/);
      expect((await purge(["--stack", "prod"])).said).to.match(/There is no stack prod here[^]*--stack dev/);
      expect((await purge(["-C", join(folder, "elsewhere")])).said).to.contain("name the project's folder");
      writeFileSync(join(folder, "Pulumi.secret.yaml"), "config:\n  guardian:database:\n    secure: v1:x\n");
      expect((await purge(["--stack", "secret"])).said).to.contain("guardian:database is encrypted");
      writeFileSync(
        join(folder, "Pulumi.text.yaml"),
        `config:\n  guardian:database: '{"host": "127.0.0.1", "port": 1}'\n`,
      );
      expect((await purge(["--stack", "text"])).said).to.match(/127\.0\.0\.1:1/);
      for (const args of [["--frobnicate"], ["now"], ["--stack"], ["--stack", "../dev"], ["--yes=1"]]) {
        const { code, said } = await purge(args);
        expect({ code, said }, args.join(" ")).to.deep.include({ code: 2 });
        expect(said, args.join(" ")).to.contain("npm run purge -- --help");
      }
      const { code, said } = await purge(["--help"]);
      expect(code).to.equal(0);
      expect(said).to.match(/^npm run purge \[-- options\]/);
    });
  });
});

/** The project's password file. */
function writePassword(folder: string, password: string): void {
  writeFileSync(join(folder, "password"), password, { mode: 0o600 });
}
