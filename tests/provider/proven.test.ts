import { expect } from "chai";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as calls from "../support/calls";
import { long } from "../support/long";
import type { CallFailure } from "../support/plugin";
import { withV6 } from "../support/postgres";
import { until } from "../support/processes";
import { withWalk, withWalkingProcess } from "../support/walk";
import { unknownMark, type Wire } from "../support/wire";

/** The folder of the scratch server that a process has, if it has one. */
const scratchOf = (pid: number): string | undefined =>
  readdirSync(tmpdir())
    .filter((name) => name.startsWith("guardian-scratch-"))
    .map((name) => join(tmpdir(), name))
    .find((folder) => {
      const note = join(folder, "owner.json");
      return existsSync(note) && (JSON.parse(readFileSync(note, "utf8")) as { pid: number }).pid === pid;
    });

describe("provider: a backup that is proven", function () {
  this.timeout(600_000);

  // engine/backup-proof.test.ts: a proof that was cut off.
  long(
    "17-4 is planned with the place of its proof; killed in it, the next run goes on with the same dump, and a state of the version before with neither",
    () =>
      withV6((db) =>
        withWalkingProcess({ database: db.migrator }, async (walk) => {
          const args = (ledgerId: Wire): Record<string, Wire> => {
            const { directory, jobs, maxAgeSeconds } = walk.backupArgs(ledgerId) as Record<string, string | number>;
            return {
              directory: directory!,
              jobs: jobs!,
              maxAgeSeconds: maxAgeSeconds!,
              modules: ["000_audit_log"],
              migrations: [],
              ledgerId,
            };
          };
          const backups = join(walk.folder, "backups");
          const planned = await walk.create("Backup", "backup", args(unknownMark), { preview: true });
          expect(planned.state).to.include({ proof: unknownMark, restoreSeconds: unknownMark });
          const said = (it: typeof walk): string => it.said(undefined, planned.urn).join("\n");
          expect(said(walk)).to.match(
            /are dumped into a folder in .*; it is restored on an embedded PostgreSQL \d+ in \/\S+ and compared; nothing is added or changed before it is proven/,
          );

          const ledger = await walk.create("Ledger", "ledger", { purge: false });
          const ledgerId = ledger.state["ledgerId"]!;
          const running = walk.create("Backup", "backup", args(ledgerId)).catch((err: unknown) => err);
          const started = (): boolean => existsSync(join(scratchOf(walk.plugin.pid) ?? "", ".s.PGSQL.5432"));
          await until("a scratch server is there", started, 300_000);
          const scratch = scratchOf(walk.plugin.pid)!;
          process.kill(walk.plugin.pid, "SIGKILL");
          await running;
          await until("it is gone", () => !existsSync(scratch));
          const client = await db.connect();
          const steps = async (): Promise<unknown[]> =>
            (
              await client.query<{ part: string; state: string; attempt: number }>(
                "SELECT part, state, attempt FROM guardian_migration.step WHERE kind IN ('Backup', 'proof') ORDER BY id",
              )
            ).rows;
          const cutOff = [
            { part: "", state: "done", attempt: 1 },
            { part: "proof", state: "running", attempt: 1 },
          ];
          expect(await steps()).to.deep.equal(cutOff);

          await withWalkingProcess({ database: db.migrator }, async (next) => {
            const backup = await next.create("Backup", "backup", args(ledgerId));
            expect(backup.state).to.include({ proof: "proven" });
            expect(backup.state["restoreSeconds"]).to.be.a("number").above(0);
            expect(readdirSync(backups).map((name) => join(backups, name))).to.deep.equal([backup.state["path"]]);
            expect(said(next)).to.match(
              /^an earlier run's: \d+ rows of \d+ tables, .*; proven: restored in [\d.]+ s, and compared$/,
            );
            expect(
              next.plugin.engine.logs.filter(({ message }) => /^proof: comparing, \d+ s$/.test(message)),
            ).not.to.have.length(0);
            expect(scratchOf(next.plugin.pid)).to.equal(undefined);
            expect(await steps()).to.deep.equal([cutOff[0], { part: "proof", state: "done", attempt: 1 }]);
            expect(await next.diff(backup)).to.deep.equal({ changes: "none", paths: {} });
            await next.create("SqlModule", "000_audit_log", { module: "000_audit_log", ledgerId });

            // As the version before left state and ledger.
            await client.query("DELETE FROM guardian_migration.step WHERE part = 'proof'");
            await client.query(
              "UPDATE guardian_migration.step SET detail = detail - 'verify' - 'refuted' WHERE kind = 'Backup'",
            );
            const { proof, provenAt, restoreSeconds, ...state } = backup.state;
            expect([proof, provenAt, restoreSeconds]).not.to.include(undefined);
            const older = { ...backup, state };
            await withWalk({ database: db.migrator }, async (later) => {
              expect(await later.diff(older)).to.deep.equal({ changes: "some", paths: { proof: "update, output" } });
              const updated = await later.update(older);
              expect(updated.state).to.include({ proof: "not proven", provenAt: "", path: backup.state["path"] });
              expect(await later.diff(updated)).to.deep.equal({ changes: "none", paths: {} });
            });
          });
        }),
      ),
  );

  // engine/backup-proof.test.ts has what becomes of each proof.
  long(
    "17-4 a proof that could not be made, or was not accepted, leaves a state from which the next up goes on with the same dump",
    () =>
      withV6((db) =>
        withWalk({ database: db.migrator }, async (walk) => {
          const { client, call } = walk.plugin;
          const ledger = await walk.create("Ledger", "ledger", { purge: false });
          const given = walk.backupArgs(ledger.state["ledgerId"]!, ["000_audit_log"]);
          const { verify, ...args }: Record<string, Wire> = { ...given, migrations: [] };
          expect(verify).to.equal("list");
          const urn = walk.urn("Backup", "backup");
          const inputs = await walk.check("Backup", "backup", { ...args, scratch: { host: "127.0.0.1", port: 1 } });
          const failed = await call(client.create, calls.create(urn, inputs)).then(
            () => undefined,
            (err: unknown) => err as CallFailure,
          );
          const { id = "", properties: olds = {} } = failed?.partly ?? {};
          expect(failed?.message).to.match(
            /^the scratch server, on which backups are restored: no PostgreSQL server answers/,
          );
          expect(id).not.to.equal("");
          const dumps = (): string[] => readdirSync(join(walk.folder, "backups"));
          const [dumped, ...more] = dumps();
          expect(more).to.deep.equal([]);

          // Every up after it stopped here, whatever was mended: The "path" argument must be of type string.
          const held = { urn, id, inputs, state: olds };
          expect(await walk.diff(held)).to.deep.include({ changes: "some" });
          const news = await walk.check("Backup", "backup", args);
          expect(await walk.diff(held, news)).to.deep.include({ changes: "some" });
          expect((await walk.update(held, news)).state).to.include({
            proof: "proven",
            path: join(walk.folder, "backups", dumped ?? ""),
          });
          expect(dumps()).to.deep.equal([dumped]);
        }),
      ),
  );
});
