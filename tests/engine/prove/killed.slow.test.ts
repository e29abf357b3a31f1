import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { clientFolder } from "../../../scripts/pg-clients";
import { major, withV6 } from "../../support/postgres";
import { until } from "../../support/processes";
import { withWalkingProcess } from "../../support/walk";
import type { Wire } from "../../support/wire";
import { wrappers } from "../dumps";

/** Where kill -9 meets the product. */
interface Point {
  at: string;
  /** The first client program whose name and arguments are so waits there, as sh's `case` matches. */
  program?: string;
  /** The first row of the ledger that is to become so waits there, as SQL on NEW. */
  row?: string;
  /** What becomes of its dump: none was there, it is taken for its own, the ledger has it. */
  dump: "anew" | "adopted" | "known";
}

const points: Point[] = [
  { at: "before the dump", program: "pg_dump\\ --version", dump: "anew" },
  { at: "in the dump", program: "pg_dump\\ *--snapshot=*", dump: "anew" },
  { at: "when its contents are listed", program: "pg_restore\\ --list*", dump: "anew" },
  {
    at: "after it got its name, before the ledger has it",
    row: "NEW.kind = 'Backup' AND NEW.state = 'done'",
    dump: "adopted",
  },
  { at: "before the restore", program: "pg_restore\\ *--create*", dump: "known" },
  { at: "in the restore", program: "pg_restore\\ --dbname=*", dump: "known" },
  { at: "in the dump of the copy", program: "pg_dump\\ *--no-sync*", dump: "known" },
  { at: "in the comparison", program: "pg_restore\\ */again", dump: "known" },
  {
    at: "after the proof, before the ledger has it",
    row: "NEW.kind = 'proof' AND NEW.state = 'done' AND NEW.detail ? 'verdict'",
    dump: "known",
  },
];

/** Client programs of which the first that fits waits to be killed; once. */
const waiting = (folder: string, bin: string, program: string): string =>
  wrappers(
    folder,
    bin,
    (name) => `case "${name} $*" in ${program}) mkdir '${folder}/held' 2>/dev/null && exec sleep 60;; esac`,
  );

const scratchOf = (pid: number): string[] =>
  readdirSync(tmpdir()).filter((name) => {
    const note = join(tmpdir(), name, "owner.json");
    return (
      name.startsWith("guardian-scratch-") &&
      existsSync(note) &&
      (JSON.parse(readFileSync(note, "utf8")) as { pid: number }).pid === pid
    );
  });

describe("kill -9 of a run that takes and proves a backup", function () {
  this.timeout(180_000);

  for (const { at, program, row, dump } of points) {
    it(`17-4 ${at}: nothing half is taken for whole, and the next run goes on`, () =>
      withV6(async (db) => {
        const bin = await clientFolder(major);
        await withWalkingProcess({ database: db.migrator }, async (first) => {
          const wrapper = program === undefined ? undefined : waiting(first.folder, bin, program);
          const env = wrapper === undefined ? {} : { env: { GUARDIAN_PG_BIN: wrapper } };
          const ledger = await first.create("Ledger", "ledger", { purge: false });
          const ledgerId = ledger.state["ledgerId"]!;
          const directory = join(first.folder, "backups");
          const args: Record<string, Wire> = {
            ...{ directory, jobs: 2, maxAgeSeconds: 3600, modules: ["000_audit_log"], migrations: [], ledgerId },
          };
          const whole = (): string[] =>
            existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith(".")) : [];
          const admin = await db.connect("admin");
          if (row !== undefined)
            await admin.query(`
              CREATE FUNCTION public.held() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
              CREATE TRIGGER held BEFORE UPDATE ON guardian_migration.step FOR EACH ROW WHEN (${row}) EXECUTE FUNCTION public.held()`);
          const sleeping = async (): Promise<boolean> =>
            (
              await admin.query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
              )
            ).rowCount === 1;

          const there = await withWalkingProcess({ database: db.migrator, ...env }, async (killed) => {
            const running = killed.create("Backup", "backup", args).catch((err: unknown) => err);
            await until(at, wrapper === undefined ? sleeping : () => existsSync(join(first.folder, "held")), 60_000);
            process.kill(killed.plugin.pid, "SIGKILL");
            await running;
            await until("its scratch is gone", () => scratchOf(killed.plugin.pid).length === 0, 20_000);
            return whole();
          });
          expect(there).to.have.length(dump === "anew" ? 0 : 1);
          if (row !== undefined) {
            await admin.query(
              "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
            );
            await admin.query("DROP FUNCTION public.held CASCADE");
          }

          await withWalkingProcess({ database: db.migrator }, async (next) => {
            const backup = await next.create("Backup", "backup", args);
            expect(backup.state).to.include({ proof: "proven" });
            expect(readdirSync(directory), "one dump, and nothing beside it").to.have.length(1);
            if (dump !== "anew") expect(whole()).to.deep.equal(there);
            const said = next.plugin.engine.logs.filter(({ urn, ephemeral }) => urn === backup.urn && !ephemeral);
            const whose = { anew: /^\d+ rows /, adopted: /^a killed run's: /, known: /^an earlier run's: / }[dump];
            expect(said.map(({ message }) => message).join("\n")).to.match(whose);
            await next.create("SqlModule", "000_audit_log", { module: "000_audit_log", ledgerId });
          });
        });
      }));
  }
});
