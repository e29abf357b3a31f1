import { expect } from "chai";
import type { Client } from "pg";
import { flagNames } from "../../config";
import { moduleNames } from "../../engine/module/files/manifest";
import { pluginCommand } from "../../scripts/faults/processes";
import { long } from "../support/long";
import { alive, descendants, until, type Process } from "../support/processes";
import { afterUp } from "../support/migrated";
import { count } from "../support/modules";
import { differences, story, total, type Story } from "../support/story";

const engine = /\bpulumi (up|destroy)\b/;

/** What a finished run leaves, as numbers that do not depend on ids and times. */
async function result({ client }: Story): Promise<unknown> {
  const { rows: sessions } = await client.query(
    "SELECT status, completed_steps, total_steps, records_processed FROM public.migration_sessions",
  );
  const { rows: open } = await client.query(
    `SELECT urn, part, state FROM (SELECT DISTINCT ON (urn, part) * FROM guardian_migration.step ORDER BY urn, part, attempt DESC) s WHERE state <> 'done'`,
  );
  return {
    sessions,
    open,
    consents: await count(client, "public.patient_consents"),
    preferences: await count(client, "public.user_preferences"),
    flags: await count(client, "public.feature_flags"),
    modules: await count(client, "guardian_migration.module WHERE undone_at IS NULL"),
  };
}

/** What `result` is of a run that nobody disturbed. */
async function undisturbed({ client }: Story): Promise<unknown> {
  const consents = await count(client, "auth.users WHERE created_at < now() - interval '1 day' AND deleted_at IS NULL");
  const preferences = await count(client, "auth.users");
  const [steps, rows] = [{ completed_steps: total, total_steps: total }, String(consents + preferences)];
  return {
    ...{ sessions: [{ status: "completed", ...steps, records_processed: rows }], open: [] },
    ...{ consents, preferences, flags: flagNames.length, modules: moduleNames().length },
  };
}

/** The newest attempt at anything that is not rolled back. */
const open = `(SELECT DISTINCT ON (urn, part) state FROM guardian_migration.step
  ORDER BY urn, part, attempt DESC) s WHERE state <> 'undone'`;

/** Where a run can be held: what a second session does, and the sign that the run waits for it. */
const points = {
  "a module that waits for a v6 lock": {
    hold: "LOCK TABLE auth.users IN ROW EXCLUSIVE MODE",
    // Of a session that lives: what a killed run wrote stays.
    waiting:
      "guardian_migration.step s JOIN pg_stat_activity USING (pid) WHERE kind = 'SqlModule' AND urn ~ '::00[3-9]_' AND s.state = 'running'",
  },
  "a data migration in the middle of its statement": {
    hold: "INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users ORDER BY id DESC LIMIT 1",
    waiting:
      "pg_stat_activity WHERE application_name LIKE 'guardian-migration%' AND wait_event_type = 'Lock' AND datname = current_database()",
  },
} as const;

/** Begins an `up` and waits until it is held. @returns its CLI and its plugin, and its end */
async function held({ stack, client }: Story, waiting: string) {
  const running = stack.up({ expectFailure: true });
  running.catch(() => undefined);
  await until(`the run waits: ${waiting}`, async () => (await count(client, waiting).catch(() => 0)) > 0, 300_000);
  const cli = descendants(process.pid, engine);
  const plugin = cli.flatMap((found) => descendants(found.pid, pluginCommand));
  expect([cli.length, plugin.length]).to.deep.equal([1, 1]);
  return { running, cli: cli[0]!, plugin: plugin[0]! };
}

describe("killed with SIGKILL", function () {
  this.timeout(600_000);

  // Below the CLI: provider/interrupted.test.ts, and engine/migrate/takeover.test.ts, which goes on.
  long("CLI or plugin, and ^C: pulumi cancel and up go on each time, and end as an undisturbed run", function () {
    return story(async (it) => {
      const { stack, client, db } = it;
      for (const [where, { hold, waiting }] of Object.entries(points)) {
        const holder = await db.connect();
        await holder.query("BEGIN");
        await holder.query(hold);
        for (const victim of ["cli", "plugin"] as const) {
          const { running, cli, plugin } = await held(it, waiting);
          process.kill((victim === "cli" ? cli : plugin).pid, "SIGKILL");
          await running.catch(() => undefined);
          await gone(client, [cli, plugin]);
          await stack.must(["cancel", "--yes"]).catch(() => undefined);
        }
        if (where === "a module that waits for a v6 lock") {
          const { running, cli } = await held(it, waiting);
          process.kill(cli.pid, "SIGINT");
          await running; // the lock is still held
          expect(await count(client, "pg_tables WHERE tablename = 'patient_consents'")).to.equal(0);
          await holder.query("ROLLBACK");
          stack.set({ through: "schema" }); // where the other point begins
          await stack.up();
          stack.set({ through: "deployment" });
        } else await holder.query("ROLLBACK");
      }
      await stack.up();
      expect(await result(it)).to.deep.equal(await undisturbed(it));
      expect((await stack.up()).changes).to.deep.equal({ same: total });
    });
  });

  // provider/product-states.test.ts has a state that was not saved, over gRPC.
  long(
    "the CLI between the commit of a rollback and the saving of its state: pulumi cancel and destroy end as an undisturbed run",
    function () {
      return afterUp(async (it) => {
        const { stack, client, db, before } = it;
        const holder = await db.connect();
        await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE");
        const running = stack.destroy({ expectFailure: true });
        // One that must lock auth.users, so that it cannot be through before the holder lets go.
        const undoing = `guardian_migration.step s JOIN guardian_migration.module m USING (urn)
            WHERE m.undone_at IS NULL AND m.manifest->'locks' ? 'auth.users' AND s.part = '' AND s.state = 'undoing'`;
        await until("a rollback waits", async () => (await count(client, undoing)) > 0, 300_000);
        const cli = descendants(process.pid, engine);
        expect(cli).to.have.length(1);
        const plugins = descendants(cli[0]!.pid, pluginCommand);
        // It stands still while its plugin goes on, so the answer that the module is gone cannot reach its state.
        process.kill(cli[0]!.pid, "SIGSTOP");
        const { rows } = await client.query<{ urn: string }>(`SELECT urn FROM ${undoing}`);
        try {
          await holder.query("ROLLBACK");
          const undone = "guardian_migration.step WHERE urn = $1 AND part = '' AND state = 'undone'";
          await until("it is committed", async () => (await count(client, undone, [rows[0]?.urn])) > 0, 300_000);
        } finally {
          process.kill(cli[0]!.pid, "SIGKILL");
        }
        await running.catch(() => undefined);
        await gone(client, [...cli, ...plugins]);
        expect(stack.resources().map((resource) => resource.urn)).to.include(rows[0]?.urn);

        await stack.must(["cancel", "--yes"]).catch(() => undefined);
        await stack.destroy();
        expect(stack.resources()).to.deep.equal([]);
        expect(await count(client, open)).to.equal(0);
        expect(differences(before, await it.fingerprint())).to.deep.equal([]);
      });
    },
  );

  long("part-done, then refresh, then up: it is finished", function () {
    return afterUp(async (it) => {
      const { stack, client, db, before } = it;
      await client.query("UPDATE public.user_preferences SET theme = 'dark'");
      await stack.destroy();
      // Rows wait in the archive. While somebody holds the table, they cannot come back: the module stays part-done.
      const holder = await db.connect("admin");
      await holder.query(
        `CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
             IF pg_catalog.to_regclass('public.user_preferences') IS NOT NULL AND current_query() LIKE '%DISABLE TRIGGER%'
             THEN RAISE EXCEPTION 'held'; END IF; END $$;
           CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.slow();`,
      );
      const { rows: waiting } = await client.query<{ part: string }>(
        "SELECT pg_catalog.concat_ws(' ', 'rows', original, apply_id) AS part FROM guardian_migration.archived WHERE original = 'public.user_preferences'",
      );
      const rowsPart = waiting[0]!.part;
      const failed = await stack.up({ expectFailure: true });
      expect(failed.output).to.match(/unfinished: rows public\.user_preferences/);
      const part = (): unknown => {
        const found = stack.resources().find((one) => one.urn.endsWith("005_user_preferences"));
        return { errors: found?.initErrors?.join(), objects: found?.inputs["objects"] };
      };
      const failedState = part() as { errors: string; objects: unknown };
      expect(failedState.errors).to.match(/\[postgres-refused\][^]*unfinished: rows public\.user_preferences/);
      await holder.query("DROP EVENT TRIGGER hold; DROP FUNCTION public.slow()");

      // What the ledger says is unfinished stays so in the state, or the next up would find nothing to do.
      await stack.refresh();
      expect(part()).to.deep.equal({
        errors: `unfinished: ${rowsPart} is planned; up finishes it [unfinished]`,
        objects: failedState.objects,
      });
      const planned = await stack.preview();
      expect(planned.changes).to.include({ update: 1 });
      expect(planned.output).to.match(/SqlModule +005_user_preferences +update/);
      await stack.up();
      expect(part()).to.include({ errors: undefined });
      expect(await count(client, "public.user_preferences WHERE theme = 'dark'")).to.equal(300);
      expect((await stack.up()).changes).to.deep.equal({ same: total });
      await stack.destroy();
      expect(differences(before, await it.fingerprint())).to.deep.equal([]);
    });
  });
});

/** No process of ours and no backend of ours is left after five seconds. */
async function gone(client: Client, ours: readonly Process[]): Promise<void> {
  await until("the processes end", () => ours.every((process) => !alive(process.pid)), 5000);
  await until(
    "their backends end",
    async () =>
      (await count(
        client,
        "pg_stat_activity WHERE application_name LIKE 'guardian-migration%' AND datname = current_database()",
      )) === 0,
    5000,
  );
}
