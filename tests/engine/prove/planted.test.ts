import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import type { FoundBackup, Manifest } from "../../../engine/backup";
import { ownMark } from "../../../engine/base/process";
import type { ProofOptions } from "../../../engine/backup/prove";
import { major, withEmpty } from "../../support/postgres";
import { withClient } from "../../../scripts/v6/database";
import { until } from "../../support/processes";
import { type Dumps, marker, refusal, useDumps, wrappers } from "../dumps";
import { useScratch } from "./scratch";
import { long } from "../../support/long";

type Changed = { -readonly [K in keyof Manifest]: Manifest[K] };

describe("a backup with a fault", function () {
  this.timeout(240_000);
  const place = useDumps();
  const scratch = useScratch();

  long("17-3 is refused by the step that should see it, naming it", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const role = `planted_${process.pid}`;
      await admin.query(`CREATE ROLE ${role}; ALTER ROLE ${role} SET work_mem = '7MB'; CREATE ROLE ${role}_unused`);
      try {
        await admin.query(`CREATE TABLE kept (i int, t text); INSERT INTO kept SELECT i, '${marker}' FROM generate_series(1, 500) i;
          CREATE INDEX kept_i ON kept (i);
          CREATE TABLE other (i int); CREATE MATERIALIZED VIEW filled AS SELECT 1 AS i; GRANT SELECT ON kept TO ${role}; SELECT lo_create(0);
          INSERT INTO other VALUES (1); ALTER TABLE other ADD CONSTRAINT sum CHECK ((i + 1) * 2 > 0)`);
        const whole = await place.take(db);
        const tables = whole.manifest.files.filter(({ path }) => /\/\d+\.dat/.test(path));
        const data = tables.reduce((most, one) => (one.size > most.size ? one : most)).path;

        /** A copy of the backup, with a fault in it. */
        const plant = (change: (path: string, manifest: Changed) => void): FoundBackup => {
          const path = join(place.folder, "backups", "planted");
          rmSync(path, { recursive: true, force: true });
          cpSync(whole.path, path, { recursive: true });
          const manifest = structuredClone(whole.manifest) as Changed;
          change(path, manifest);
          writeFileSync(join(path, "manifest.json"), JSON.stringify(manifest));
          return { name: "planted", path, manifest };
        };
        /** Whoever plants it is thorough: size and hash are told anew. */
        const rewrite = (path: string, manifest: Changed, name: string, change: (bytes: Buffer) => Buffer): void => {
          const bytes = change(readFileSync(join(path, name)));
          writeFileSync(join(path, name), bytes);
          const sha256 = createHash("sha256").update(bytes).digest("hex");
          manifest.files = manifest.files.map((one) =>
            one.path === name ? { path: name, size: bytes.length, sha256 } : one,
          );
        };
        const text =
          (change: (text: string) => string) =>
          (bytes: Buffer): Buffer =>
            Buffer.from(change(bytes.toString()));
        const is = async (what: RegExp, backup: FoundBackup, more: Partial<ProofOptions> = {}): Promise<void> => {
          const said = await refusal(scratch.prove(backup, { ...place.means, ...more }));
          expect(said, said)
            .to.match(/^the backup is not proven, by its .* \[backup-differs\]\n/)
            .and.match(what);
        };

        // Its listing.
        await is(
          /by its listing: .*\.dat\.gz is missing/,
          plant((path) => unlinkSync(join(path, data))),
        );
        await is(
          /by its listing: .* has 20 bytes, not \d+/,
          plant((path) => writeFileSync(join(path, data), readFileSync(join(path, data)).subarray(0, 20))),
        );
        const gone = { oid: 1, schema: "public", table: "gone", rows: 1, columns: [] };
        await is(
          /by its listing: it lacks the rows of public\.gone /,
          plant((_, manifest) => (manifest.tables = [...manifest.tables, gone])),
        );
        await is(
          /by its listing: it has rows of tables that were not counted: public kept postgres /,
          plant((_, manifest) => (manifest.tables = manifest.tables.filter(({ table }) => table !== "kept"))),
        );
        await is(
          /by its listing: it has 1 large objects, and 2 /,
          plant((_, manifest) => (manifest.largeObjects = 2)),
        );
        await is(
          /by its listing: it is a dump of test_\d+_\d+, and should be of guardian /,
          plant((_, manifest) => (manifest.server = { ...manifest.server, database: "guardian" })),
        );
        await is(
          /by its listing: pg_dump 15\.\d+ wrote it, which is older than the server /,
          plant((path, manifest) => {
            const at = (bytes: Buffer): number => bytes.lastIndexOf(whole.manifest.pgDump.version);
            rewrite(path, manifest, "dump/toc.dat", (bytes) => bytes.fill("15", at(bytes), at(bytes) + 2));
          }),
        );
        const { systemIdentifier, database } = whole.manifest.server;
        for (const [wanted, what] of [
          [{ systemIdentifier, database: "guardian" }, "and should be of guardian of"],
          [{ systemIdentifier: "7", database }, "and should be of test_.* of 7 "],
          [{ ledgerId: "another" }, "was taken for the ledger 5b0c0b6e.*, and this is another "],
          [{ since: "2099-01-01 00:00:00+00" }, "before the last change "],
          [{ manifestSha256: "0" }, "is not what was written when it was taken "],
        ] as const)
          await is(new RegExp(`by its listing: .*${what}`), whole, { belongsTo: wanted });
        const { around, ...old } = whole.manifest;
        expect(around).not.to.equal(undefined);
        const bare = plant(() => undefined);
        writeFileSync(join(bare.path, "manifest.json"), JSON.stringify({ ...old, formatVersion: 1 }));
        // Nothing was found against it: what is noted as refuted (backup-differs) is neither restored as the latest nor kept.
        expect(await refusal(scratch.prove(bare, place.means))).to.match(
          /^an older release made the backup, without roles: .* \[backup-unproven\]\n/,
        );

        // A hash.
        const flip = (bytes: Buffer): Buffer => bytes.fill((bytes[100] ?? 0) ^ 1, 100, 101);
        await is(
          /by its hash: .*\.dat\.gz is not what was written/,
          plant((path) => writeFileSync(join(path, data), flip(readFileSync(join(path, data))))),
        );
        await is(
          /by its hash: .*\.dat\.gz cannot be decompressed \(Z_/,
          plant((path, manifest) => rewrite(path, manifest, data, (bytes) => bytes.subarray(0, -20))),
        );

        // The restore.
        const roles = (change: (text: string) => string): FoundBackup =>
          plant((path, manifest) => rewrite(path, manifest, "roles.sql", text(change)));
        const without = (sign: RegExp) => (from: string) =>
          from
            .split("\n")
            .filter((line) => !sign.test(line))
            .join("\n");
        await is(
          new RegExp(`by its restore: .*role "${role}" does not exist`),
          roles(without(new RegExp(`ROLE ${role}\\b`))),
        );

        // The comparison.
        await is(
          new RegExp(
            `by its compare: in the restored copy, role ${role}_unused is missing, setting work_mem for ${role} in every database is missing `,
          ),
          roles(without(new RegExp(`ROLE ${role}_unused|SET work_mem`))),
        );
        const lines =
          (change: (lines: string[]) => string[]) =>
          (bytes: Buffer): Buffer =>
            gzipSync(change(gunzipSync(bytes).toString().split("\n")).join("\n"));
        await is(
          /by its compare: counted in the dump's own snapshot, public\.kept has 499 rows in the dump, and had 500 /,
          plant((path, manifest) =>
            rewrite(
              path,
              manifest,
              data,
              lines(([, ...rest]) => rest),
            ),
          ),
        );
        // A server that loses or changes what it is given, and one that makes something of its own.
        for (const [statement, what] of [
          [
            "UPDATE kept SET t = t || '!' WHERE i = 250; DELETE FROM other",
            "the restored copy has other rows in public.kept \\(500 rows dumped, 500 restored\\), public.other \\(1 rows dumped, 0 restored\\)",
          ],
          [
            "SELECT lo_put(oid, 0, 'x') FROM pg_largeobject_metadata",
            "the restored copy has other large objects: \\d+",
          ],
          [
            "ALTER TABLE kept ALTER t SET NOT NULL; DROP TABLE other; CREATE VIEW more AS SELECT 1",
            "the restored copy lacks public.other",
          ],
          [
            "ALTER TABLE kept ALTER t SET NOT NULL; ALTER TABLE other DROP CONSTRAINT sum, ADD CONSTRAINT sum CHECK (i + 1 * 2 > 0); CREATE VIEW more AS SELECT 1 AS i; REFRESH MATERIALIZED VIEW filled WITH NO DATA",
            "in the restored copy, TABLE public.kept is another, TABLE public.other is another, MATERIALIZED VIEW DATA public.filled is missing, VIEW public.more is there besides",
          ],
          // A row that its index does not lead to.
          [
            `UPDATE pg_index SET indisready = false WHERE indexrelid = 'kept_i'::regclass;
             WITH gone AS (DELETE FROM kept WHERE i = 250 RETURNING *) INSERT INTO kept SELECT * FROM gone;
             UPDATE pg_index SET indisready = true WHERE indexrelid = 'kept_i'::regclass`,
            "the copy's indexes are damaged: public.kept_i",
          ],
        ] as const) {
          await is(new RegExp(`by its compare: ${what} `), whole, { env: meddling(place, statement) });
        }
      } finally {
        await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}; DROP ROLE ${role}_unused`);
      }
    }),
  );
});

describe("a proof that is stopped", function () {
  this.timeout(120_000);
  const place = useDumps();
  const scratch = useScratch();

  it("17-1 by ^C or a scratch that dies says so, leaves nothing behind, and the backup can be proven afterwards, whatever is set for its first role", () =>
    withEmpty(async (db) => {
      await (await db.connect("admin")).query("CREATE TABLE t AS SELECT 1 AS i");
      const backup = await place.take(db);
      const slow = meddling(place, "SELECT pg_sleep(30)");
      const dying = meddling(place, "", "exit 1", "server closed the connection");
      const stop = new AbortController();
      const stopped = refusal(scratch.prove(backup, { ...place.means, env: slow, signal: stop.signal }));
      const asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
      const sleeping = (): Promise<boolean> =>
        withClient(scratch.login(), async (client) => (await client.query(asleep)).rowCount === 1);
      // Whoever is there when the scratch is emptied is sent away.
      await until("the copy is meddled with", () => sleeping().catch(() => false));
      stop.abort();
      expect(await stopped).to.match(/^the proof of a backup was stopped; .* \[interrupted\]\n/);
      expect(await refusal(scratch.prove(backup, { ...place.means, env: dying }))).to.match(/ \[connection-lost\]\n/);
      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([backup.name]);
      const other = join(place.folder, "backups", ".partial-elsewhere");
      mkdirSync(other);
      writeFileSync(join(other, "owner.json"), JSON.stringify({ ...ownMark(), host: "elsewhere" }));
      const warned: string[] = [];
      const onWarning = (line: string): void => void warned.push(line);
      expect((await scratch.prove(backup, { ...place.means, onWarning })).verdict).to.equal("proven");
      expect(warned.join()).to.match(
        /^\/.*\.partial-elsewhere is of a run on another machine .*: remove it, if that run is gone$/,
      );
      // What a backup says of the first role would hold for who restores it; as it is the first one's here, this comes last.
      const short = [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        ...(major < 17 ? [] : ["transaction_timeout"]),
      ];
      const all = ["default_transaction_read_only TO 'on'", ...short.map((name) => `${name} TO '1ms'`)];
      const said = all.map((one) => `ALTER ROLE ${backup.manifest.around?.superuser} SET ${one};`).join("\n");
      const roles = Buffer.concat([readFileSync(join(backup.path, "roles.sql")), Buffer.from(said)]);
      writeFileSync(join(backup.path, "roles.sql"), roles);
      const sha256 = createHash("sha256").update(roles).digest("hex");
      const files = backup.manifest.files.map((one) =>
        one.path === "roles.sql" ? { path: one.path, size: roles.length, sha256 } : one,
      );
      const manifest = { ...backup.manifest, files };
      writeFileSync(join(backup.path, "manifest.json"), JSON.stringify(manifest));
      expect((await scratch.prove({ ...backup, manifest }, place.means)).verdict).to.equal("proven");
    }));
});

/** Client programs whose pg_restore does something more to the copy. */
function meddling({ folder, bin }: Dumps, statement: string, end = ":", said = ""): NodeJS.ProcessEnv {
  const more = `case $1 in --dbname=*) '${bin}/psql' -qX "$1" -c "${statement}" >&2; echo 'pg_restore: error: ${said}' >&2; ${end};; esac`;
  const restores = `"$real" "$@" || exit\n${more}\nexit 0`;
  return { GUARDIAN_PG_BIN: wrappers(folder, bin, (name) => (name === "pg_restore" ? restores : "")) };
}
