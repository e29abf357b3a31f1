import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { prove } from "../../../engine/backup/prove";
import { restore } from "../../../engine/backup/restore";
import { compareFingerprints } from "../../../engine/fingerprint/compare";
import { quickFingerprint } from "../../../engine/fingerprint/take";
import { settingsOf } from "../../../scripts/v6/operator";
import { withEmpty } from "../../support/postgres";
import { refusal, useDumps } from "../dumps";
import { configuredScratch, useScratch } from "./scratch";

/** Somebody's server on this machine, which nothing of a proof may ask. */
async function listening<T>(test: (port: number, asked: () => number) => Promise<T>): Promise<T> {
  let asked = 0;
  const server = createServer((socket) => {
    asked++;
    socket.destroy();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  try {
    return await test(typeof address === "object" && address ? address.port : 0, () => asked);
  } finally {
    server.close();
  }
}

describe("a backup on another server than its own", function () {
  this.timeout(120_000);
  const place = useDumps();
  const scratch = useScratch();

  it("17-1 is restored without asking any of them: what cannot be filled so is named, subscriptions come back or are named", () =>
    listening((port, asked) =>
      withEmpty(async (db) => {
        const admin = await db.connect("admin");
        const { host, port: own, user, password } = db.admin;
        await admin.query("CREATE TABLE near (i int); INSERT INTO near VALUES (1), (2)");
        await admin.query(`
          CREATE EXTENSION postgres_fdw;
          CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${host}', port '${own}', dbname '${db.name}');
          CREATE USER MAPPING FOR CURRENT_USER SERVER there OPTIONS (user '${user}', password '${password}');
          CREATE FOREIGN TABLE far (i int) SERVER there OPTIONS (schema_name 'public', table_name 'near');
          CREATE FUNCTION opaque() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
          CREATE VIEW between AS SELECT i FROM far;
          CREATE MATERIALIZED VIEW filled AS SELECT i, lower('X') FROM near WHERE i > 0;
          CREATE MATERIALIZED VIEW reads AS SELECT i FROM between;
          CREATE MATERIALIZED VIEW calls AS SELECT opaque() AS i;
          CREATE MATERIALIZED VIEW above AS SELECT i FROM calls;
          ALTER SERVER there OPTIONS (SET host '127.0.0.1', SET port '${port}');
          CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=${port}' PUBLICATION p
            WITH (connect = false, slot_name = NONE, enabled = false)`);
        try {
          const backup = await place.take(db);
          const proof = await scratch.prove(backup, place.means);
          const reason = "it is restored and not filled: its query could reach another server from the scratch";
          expect([...proof.unproven].sort((a, b) => (a.table < b.table ? -1 : 1))).to.deep.equal(
            ["above", "calls", "reads"].map((name) => ({ table: `materialized view public.${name}`, reason })),
          );
          expect(proof.indexes.checked).to.be.a("number");

          // Nor does who restores it in earnest: the remote would be asked, and its being down would end the restore.
          await scratch.empty();
          const to = settingsOf({ ...scratch.login(), database: "restored" });
          const done = await restore(backup, to, place.restoring());
          const refresh = done.left.filter(({ what }) => what.startsWith("materialized view"));
          expect(refresh.map(({ what, why }) => `${what}: ${why.replace(/^.* fill it: /, "")}`).sort()).to.deep.equal(
            ["above", "calls", "reads"].map(
              (name) => `materialized view public.${name}: REFRESH MATERIALIZED VIEW public.${name}`,
            ),
          );
          expect(asked(), "times that somebody was asked").to.equal(0);

          // A dump of who is no superuser has no subscriptions.
          const { facts } = backup.manifest.around!;
          expect(facts["subscription"]).to.have.key("sub");
          const around = {
            ...backup.manifest.around!,
            facts: { ...facts, subscription: { ...facts["subscription"], other: "x" } },
          };
          writeFileSync(join(backup.path, "manifest.json"), JSON.stringify({ ...backup.manifest, around }));
          const lacking = await scratch.prove(backup, place.means);
          expect(lacking.unproven.at(-1)).to.deep.equal({
            table: "subscription other",
            reason: "it is not in the dump: only a superuser's has subscriptions",
          });
          expect(asked(), "times that somebody was asked").to.equal(0);
        } finally {
          await admin.query("DROP SUBSCRIPTION sub");
        }
      }),
    ));

  it("17-1 asks nobody for its rows: a check that does has no network on the scratch, and refutes nothing", () =>
    listening((port, asked) =>
      withEmpty(async (db) => {
        const admin = await db.connect("admin");
        await admin.query(`CREATE EXTENSION dblink;
          CREATE FUNCTION asks(i int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
          CREATE TABLE asking (i int CHECK (public.asks(i))); INSERT INTO asking VALUES (1);
          CREATE OR REPLACE FUNCTION asks(i int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            PERFORM public.dblink_connect('c', 'host=127.0.0.1 port=${port}'); RETURN true; END $$`);
        const backup = await place.take(db);
        const said = await refusal(scratch.prove(backup, place.means));
        expect(asked(), "times that somebody was asked").to.equal(0);
        expect(said).to.match(
          /^rows cannot be restored on the scratch server, which has no network: a CHECK, .* \[backup-unproven\]\n/,
        );
      }),
    ));

  it("17-2 on a server that lacks its roles goes without what names them, and a role that may too little is no fault of the backup", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const role = `elsewhere_${process.pid}`;
      await admin.query(`CREATE ROLE ${role}; CREATE ROLE "${role} b"`);
      try {
        await admin.query(`
          CREATE TABLE t (i int PRIMARY KEY, s text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; INSERT INTO t VALUES (1, 'x');
          CREATE POLICY everybody ON t USING (true);
          CREATE POLICY "some one" ON t TO ${role}, "${role} b" USING (i > 0);
          CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
          CREATE USER MAPPING FOR ${role} SERVER s OPTIONS (password 'GEHEIM-7731')`);
        const proof = await prove(await place.take(db), await scratch.foreign("SUPERUSER"), place.means);
        const fixed = ["owners", "rights", "roles", "settings"];
        expect(proof.unproven.map(({ table }) => table)).to.deep.equal([...fixed, "user mappings", "policies"]);
        expect(proof.unproven.at(-1)?.reason).to.equal(
          `one of them names a role that the scratch lacks, and none is made there: ${role}, ${role} b`,
        );
        expect(proof.indexes).to.deep.equal({ checked: 1 });

        // A wrapper is a superuser's to make.
        expect(await refusal(prove(await place.take(db), await scratch.foreign(""), place.means))).to.match(
          /^the role of guardian:scratch may not make all that is in the backup.* \[right-missing\]\n/,
        );
        await admin.query("DROP FOREIGN DATA WRAPPER w CASCADE");
        const poor = await prove(await place.take(db), await scratch.foreign(""), place.means);
        expect(poor.indexes).to.deep.equal({
          checked: 0,
          lacking: "the scratch's role may not make the extension amcheck",
        });
        expect(poor.unproven.map(({ table }) => table)).to.deep.equal([...fixed, "policies"]);
      } finally {
        await admin.query(`DROP OWNED BY ${role}, "${role} b"; DROP ROLE ${role}; DROP ROLE "${role} b"`);
      }
    }));

  it("17-2 is proven in part on a server that is not ours, of which one database is touched", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(
        "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1); GRANT SELECT ON t TO pg_monitor",
      );
      await admin.query(`ALTER DATABASE ${escapeIdentifier(db.name)} SET work_mem = '5MB'`);
      const before = await quickFingerprint(admin);
      const backup = await place.take(db);
      const configured = await configuredScratch();
      const proof = await prove(backup, configured, place.means);
      await configured.close();
      expect(proof.verdict).to.equal("partly proven");
      expect(proof.unproven.map(({ table }) => table)).to.deep.equal(["owners", "rights", "roles", "settings"]);
      expect(compareFingerprints(before, await quickFingerprint(admin))).to.deep.equal([]);
    }));

  it("17-2 is proven on a server of ours whose first role has another name", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE t (i int); GRANT SELECT ON t TO pg_monitor");
      const backup = await place.take(db);
      const proof = await scratch.renamed("bootstrap", (other) => prove(backup, other, place.means));
      expect(proof).to.deep.include({ verdict: "proven", unproven: [] });
    }));
});
