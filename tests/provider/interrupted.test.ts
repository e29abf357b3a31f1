import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { expect } from "chai";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { withV6, type V6 } from "../support/postgres";
import type { BootedPlugin } from "../support/plugin";
import { alive, descendants, until } from "../support/processes";
import { outcome as answerOf, walkModules, withMade, withWalkingProcess, type Held, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";

type OwnProcess = Walk<BootedPlugin>;

const cancelled =
  /^cancelled on request; what was under way is rolled back \(SQLSTATE 57014\) \[interrupted\]\n  where: /;

/** Sessions of ours that wait for somebody's lock. */
async function waiting(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ application: string }>(
    `SELECT application_name AS application FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'guardian-migration%' AND wait_event_type = 'Lock' ORDER BY 1`,
  );
  return rows.map((row) => row.application);
}

/** All sessions of ours. */
async function sessions(client: Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'guardian-migration%'`,
  );
  return rows[0]!.n;
}

/** A session that holds a table, so that work on it stands still. */
async function hold(db: V6, table: string): Promise<{ release: () => Promise<unknown> }> {
  const client = await db.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return { release: () => client.query("ROLLBACK") };
}

/** The outcome of a call as a text, which never rejects. */
function outcomeOf(call: Promise<Held>): Promise<string> {
  return call.then(
    (held) => `made ${held.id}`,
    (err: unknown) => (err as Error).message,
  );
}

describe("provider: interrupted at work", function () {
  this.timeout(180_000);
  const fresh = (test: (walk: OwnProcess, db: V6, client: Client) => Promise<void>) =>
    withV6((db) => withWalkingProcess({ database: db.migrator }, async (walk) => test(walk, db, await db.connect())));
  /** The same after another run, which a data migration can follow. */
  const walking = (test: (walk: OwnProcess, db: V6, client: Client, ledgerId: Wire) => Promise<void>) =>
    withMade(walkModules, ({ ledger }, db) =>
      withWalkingProcess({ database: db.migrator }, async (walk) =>
        test(walk, db, await db.connect(), ledger.state["ledgerId"]!),
      ),
    );

  /** A data migration whose statement waits in the server. */
  async function standing(walk: Walk, db: V6, client: Client, ledgerId: Wire) {
    const { release } = await hold(db, "public.patient_consents");
    const outcome = outcomeOf(walk.create("DataMigration", "consents", walk.consents(ledgerId)));
    await until("the statement waits", async () =>
      (await waiting(client)).includes("guardian-migration DataMigration consents"),
    );
    return { outcome, release };
  }

  it("cancel ends the statement in the server, the call answers, and the same process can do it again", () =>
    walking(async (walk, db, client, ledgerId) => {
      const { outcome, release } = await standing(walk, db, client, ledgerId);
      await walk.plugin.call(walk.plugin.client.cancel, new Empty());
      // The table is still held: without the cancel it would go on waiting.
      expect(await outcome).to.match(cancelled);
      expect(await waiting(client)).to.deep.equal([]);
      const { rows } = await client.query("SELECT state FROM guardian_migration.step WHERE kind = 'DataMigration'");
      expect(rows).to.deep.equal([{ state: "running" }]);
      await release();
      const { urn } = await walk.create("DataMigration", "consents", walk.consents(ledgerId), { preview: true });
      const said = walk.plugin.engine.logs.filter((line) => line.urn === urn && !line.ephemeral).at(-1)?.message;
      expect(said, "it is not there yet").to.contain("an earlier run of it was cut off").and.not.contain("taken over");
      const held = await walk.create("DataMigration", "consents", walk.consents(ledgerId));
      expect(Number(held.state["writtenRows"])).to.be.above(0);
      expect(await walk.diff(held)).to.deep.equal({ changes: "none", paths: {} });
    }));

  it("cancel ends a diff and a refresh that wait for somebody's lock, in the server too, and both can be asked again", () =>
    withMade(["000_audit_log"], ({ modules: [held] }, db) =>
      withWalkingProcess({ database: db.migrator }, async (walk) => {
        const client = await db.connect();
        for (const ask of [() => walk.diff(held!), () => walk.read(held!)]) {
          const { release } = await hold(db, "guardian_migration.step");
          const asked = answerOf(ask());
          await until("it waits", async () => (await waiting(client)).length > 0);
          const began = Date.now();
          await walk.plugin.call(walk.plugin.client.cancel, new Empty());
          expect(await asked).to.contain("stopped by the user");
          await until("nothing waits", async () => (await waiting(client)).length === 0);
          expect(Date.now() - began, "a lock is waited for 60 s").to.be.below(20_000);
          await release();
          expect(await answerOf(ask())).to.equal("done");
        }
      }),
    ));

  it("the end of its stdin ends statement, session and process", () =>
    walking(async (walk, db, client, ledgerId) => {
      const { outcome } = await standing(walk, db, client, ledgerId);
      walk.plugin.child.stdin?.end();
      expect(await walk.plugin.exited).to.equal(0);
      await until("its sessions are gone", async () => (await sessions(client)) === 0);
      expect(await outcome).to.match(cancelled);
    }));

  it("kill -9 of the plugin: the server notices and ends its sessions", () =>
    walking(async (walk, db, client, ledgerId) => {
      const { outcome } = await standing(walk, db, client, ledgerId);
      process.kill(walk.plugin.pid, "SIGKILL");
      expect(await walk.plugin.exited).to.equal("SIGKILL");
      await until("its sessions are gone", async () => (await sessions(client)) === 0);
      expect(await outcome).to.match(/dropped|ECONNRESET|closed/i);
    }));

  for (const [how, stop] of [
    ["the end of its stdin", (walk: OwnProcess) => walk.plugin.child.stdin?.end()],
    ["kill -9 of the plugin", (walk: OwnProcess) => process.kill(walk.plugin.pid, "SIGKILL")],
  ] as const) {
    it(`${how} takes a running pg_dump along`, () =>
      fresh(async (walk, db, client) => {
        const ledger = await walk.create("Ledger", "ledger", { purge: false });
        const { release } = await hold(db, "public.documents");
        const outcome = outcomeOf(walk.create("Backup", "backup", walk.backupArgs(ledger.state["ledgerId"]!)));
        const dumps = () => descendants(walk.plugin.pid, /pg_dump/).map((one) => one.pid);
        await until("pg_dump waits", async () => dumps().length > 0 && (await waitsForLock(client)));
        const running = dumps();
        stop(walk);
        await walk.plugin.exited;
        await until("no pg_dump is left", () => !running.some(alive));
        await release();
        await until("its sessions are gone", async () => (await sessions(client)) === 0);
        const folder = join(walk.folder, "backups");
        expect(readdirSync(folder).filter((name) => !name.startsWith("."))).to.deep.equal([]);
        await outcome;
      }));
  }

  it("two processes take turns: the second names who holds the lock; cancelling one leaves the other alone", () =>
    walking(async (walk, db, client, ledgerId) => {
      const { outcome, release } = await standing(walk, db, client, ledgerId);
      await withWalkingProcess({ database: db.migrator }, async (other) => {
        const flag = { flag: "fhir_integration", enabled: false, rolloutPercentage: 0, enabledForUsers: [], ledgerId };
        const waits = () => other.plugin.engine.logs.some((line) => line.ephemeral);
        const given = outcomeOf(other.create("FeatureFlag", "fhir_integration", flag));
        await until("the second waits", waits);
        const { urn, message } = other.plugin.engine.logs.find((line) => line.ephemeral)!;
        expect(urn).to.equal(other.urn("FeatureFlag", "fhir_integration"));
        expect(message).to.match(
          /^waits for the lock of this database: held by guardian-migration DataMigration consents \(pid \d+, user guardian_migrator/,
        );
        await other.plugin.call(other.plugin.client.cancel, new Empty());
        expect(await given).to.match(/stopped by the user|cancelled on request|aborted/);

        const again = outcomeOf(other.create("FeatureFlag", "fhir_integration", flag));
        await release();
        expect(await outcome).to.equal("made consents");
        expect(await again).to.equal("made fhir_integration");
      });
    }));
});

async function waitsForLock(client: Client): Promise<boolean> {
  const { rows } = await client.query(
    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'public.documents'::regclass",
  );
  return rows.length > 0;
}
