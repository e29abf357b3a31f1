import { expect } from "chai";
import { escapeIdentifier, escapeLiteral } from "pg";
import { openBackup } from "../../../engine/backup/keep/read";
import { restore } from "../../../engine/backup/restore";
import { withClient } from "../../../scripts/v6/database";
import { settingsOf } from "../../../scripts/v6/operator";
import { withEmpty, withV6 } from "../../support/postgres";
import { refusal, useDumps } from "../dumps";
import { useScratch } from "../prove/scratch";

describe("a restore by who is no superuser", function () {
  this.timeout(240_000);
  const place = useDumps();
  // Another server, on which nothing is.
  const elsewhere = useScratch();
  const asAdmin = (sql: string): Promise<unknown> => withClient(elsewhere.login(), (client) => client.query(sql));
  /** A role there that may this, and where it would restore to. */
  const poor = async (name: string, may: string) => {
    const login = elsewhere.login();
    await asAdmin(`CREATE ROLE ${name} LOGIN ${may} PASSWORD ${escapeLiteral(login.password)}`);
    const theirs = { ...login, user: name, database: `${name}_night` };
    return { to: settingsOf(theirs), theirs };
  };

  it("17-6 is refused before anything is written, with the rights that it lacks; by --no-owner it restores all but owners", () =>
    withV6(async (db) => {
      await elsewhere.empty();
      const admin = await db.connect("admin");
      await admin.query("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO authenticated");
      const backup = await openBackup((await place.take(db)).path);
      try {
        const bare = await poor("bare", "NOCREATEDB");
        const said = await refusal(restore(backup, bare.to, place.restoring()));
        expect(said)
          .to.match(
            /^bare is no superuser there, and may not make all that is in the backup: it lacks CREATEDB and CREATEROLE; it may give nothing to .*guardian_migrator, postgres, supabase_auth_admin.*; nothing was written \[right-missing\]\n/,
          )
          .and.contain("to do: name a superuser in --to")
          .and.contain("--no-owner, by which all of it belongs to who restores");
        const owned = await poor("owned", "CREATEDB CREATEROLE");
        expect(await refusal(restore(backup, owned.to, place.restoring()))).to.match(
          /: it may give nothing to [^;]*; .*nothing was written/,
        );

        const done = await restore(backup, owned.to, place.restoring({ owners: false }));
        expect(done.roles).to.include("guardian_migrator");
        const left = done.left.map(({ what }) => what);
        expect(left).to.include.members(["owners", "rights", "database owner"]);
        expect(
          left.filter(
            (what) => !/^(owners|rights|database |default rights |role |ALTER ROLE |GRANT |setting )/.test(what),
          ),
        ).to.deep.equal([]);
        await withClient(owned.theirs, async (client) => {
          const { rows } = await client.query(
            `SELECT pg_get_userbyid(relowner) AS owner, has_table_privilege('authenticated', oid, 'SELECT') AS may
               FROM pg_class WHERE oid = 'public.documents'::regclass`,
          );
          expect(rows).to.deep.equal([{ owner: "owned", may: true }]);
        });
      } finally {
        await backup.close();
      }
    }));

  it("17-6 who has a share in each owner's rights restores it as it was; what only a superuser makes is named", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const [one, other] = [`owner_a_${process.pid}`, `owner_b_${process.pid}`];
      await admin.query(`CREATE ROLE ${one}; CREATE ROLE ${other}; CREATE SCHEMA app; ALTER SCHEMA app OWNER TO ${one};
        CREATE TABLE app.t AS SELECT 1 AS i; ALTER TABLE app.t OWNER TO ${one}; ALTER SCHEMA public OWNER TO ${other};
        CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION public.f OWNER TO ${other};
        CREATE EXTENSION pgcrypto; GRANT SELECT ON app.t TO ${other};
        ALTER TABLE app.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER DATABASE ${escapeIdentifier(db.name)} OWNER TO ${one}`);
      try {
        const backup = await openBackup((await place.take(db)).path);
        const { to } = await poor("sharing", "CREATEDB");
        await asAdmin(`CREATE ROLE ${one}; CREATE ROLE ${other}`);
        const said = await refusal(restore(backup, to, place.restoring({ roles: false })));
        expect(said)
          .to.match(
            /may not make all that is in the backup: it may give nothing to owner_a_\d+, owner_b_\d+; it lacks BYPASSRLS, without which rows of app.t cannot be compared; nothing was written/,
          )
          .and.contain(
            `ALTER ROLE "sharing" BYPASSRLS; GRANT ${escapeIdentifier(one)}, ${escapeIdentifier(other)} TO "sharing";`,
          );
        await asAdmin(`ALTER ROLE sharing BYPASSRLS; GRANT ${one}, ${other} TO sharing`);
        const done = await restore(backup, to, place.restoring({ roles: false }));
        expect(done.left).to.deep.equal([]);
        await backup.close();

        await admin.query(`CREATE EXTENSION pg_stat_statements; CREATE FOREIGN DATA WRAPPER w;
          CREATE TABLE app.u (); ALTER TABLE app.u OWNER TO ${other}; GRANT CREATE ON SCHEMA app TO ${other}`);
        const more = await openBackup((await place.take(db)).path);
        const again = settingsOf({ ...elsewhere.login(), user: "sharing", database: "again" });
        expect(await refusal(restore(more, again, place.restoring({ roles: false }))))
          .to.match(
            /only a superuser makes extension pg_stat_statements, FOREIGN DATA WRAPPER w; only a superuser gives what is in a schema of another to its owner: owner_b_\d+ in schema app; nothing was written/,
          )
          .and.not.contain("--no-owner");
        await more.close();
      } finally {
        await admin.query(
          `ALTER DATABASE ${escapeIdentifier(db.name)} OWNER TO CURRENT_USER; DROP FOREIGN DATA WRAPPER IF EXISTS w; ALTER SCHEMA public OWNER TO pg_database_owner; DROP OWNED BY ${one}, ${other} CASCADE; DROP ROLE ${one}; DROP ROLE ${other}`,
        );
      }
    }));
});
