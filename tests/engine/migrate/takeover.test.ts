import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { until as soon } from "../../support/processes";
import { long } from "../../support/long";
import { column, quick, until } from "../module/harness";
import { assumed, withOnline, type Online } from "./harness";
import type { OperatorEnd, OperatorOptions } from "./operator";

const script = join(__dirname, "operator.ts");
const written = "SELECT count(*)::int FROM public.user_preferences";
const users = 25_000;

/** The first operator, in a process of its own, stopped at a batch. */
interface First {
  child: ChildProcess;
  /** How it ended, once it was let go on. */
  end: Promise<OperatorEnd>;
}

async function firstOperator(online: Online, how: Pick<OperatorOptions, "at" | "inside" | "second">): Promise<First> {
  const options: OperatorOptions = {
    ...{ login: online.db.migrator, parameters: { ...quick, lockTimeout: 1000 }, stack: online.engine.stack },
    ...{ migration: "preferences", given: assumed },
    workers: how.second ? 2 : 1,
    ...how,
  };
  const child = spawn(process.execPath, ["--require", "tsx/cjs", script, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const end = new Promise<OperatorEnd>((resolve) =>
    child.on("close", () => resolve(JSON.parse(said || "{}") as OperatorEnd)),
  );
  await soon("the first operator stops", () => {
    if (child.exitCode !== null) throw new Error(`the first operator did not stop, but ended: ${said}`);
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
  return { child, end };
}

/** What both cases come to: the second is through, the first commits nothing. */
async function takenOver(online: Online, first: First): Promise<void> {
  const { admin } = online;
  try {
    const [epoch] = await column<string>(admin, "SELECT epoch::text FROM guardian_migration.ledger");
    const byFirst = `SELECT count(*)::int FROM guardian_migration.batch WHERE epoch = ${epoch}`;
    const [before] = await column<number>(admin, byFirst);
    const [some] = await column<number>(admin, written);
    expect(some, "rows that the first committed").to.be.within(1, users - 1);
    expect(await online.move({ throttled: false })).to.deep.include({ written: BigInt(users), rejected: 0n });
    const steps = "SELECT id, state, detail::text FROM guardian_migration.step ORDER BY id";
    const ledger = (await admin.query(steps)).rows;
    first.child.kill("SIGCONT");
    const end = await first.end;
    expect(end.what).to.match(/another operator has taken over|the connection to the database was lost/);
    expect(await column(admin, byFirst), "batches of the first").to.deep.equal([before]);
    expect((await admin.query(steps)).rows, "what the ledger says").to.deep.equal(ledger);
    expect(await column(admin, written)).to.deep.equal([users]);
    expect(
      await column(admin, "SELECT sum(rows_written)::int FROM guardian_migration.batch WHERE state = 'done'"),
    ).to.deep.equal([users]);
    expect(await online.differing()).to.equal(0);
    expect(await online.traces()).to.equal(0);
  } finally {
    first.child.kill("SIGKILL");
  }
}

/** Longer than a lease and the statement in which the first was stopped: until then it looks alive. */
const patient = { patience: 5000 };

describe("a second operator takes over from one that was stopped", function () {
  this.timeout(120_000);

  it("in the middle of a batch, everything written and COMMIT not yet sent", () =>
    withOnline(
      "preferences",
      users,
      async (online) => {
        await takenOver(online, await firstOperator(online, { at: 2, inside: true, second: false }));
      },
      patient,
    ));

  long("and goes on while the second one is still at work", () =>
    withOnline(
      "preferences",
      users,
      async (online) => {
        const { admin } = online;
        // Batches of the second take so long that the first has ended before it is through.
        await admin.query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON public.user_preferences FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`);
        const first = await firstOperator(online, { at: 2, inside: true, second: false });
        try {
          const [epoch] = await column<string>(admin, "SELECT epoch::text FROM guardian_migration.ledger");
          const byFirst = `SELECT coalesce(sum(rows_written), 0)::int FROM guardian_migration.batch WHERE state = 'done' AND epoch = ${epoch}`;
          const before = await column<number>(admin, byFirst);
          const second = { ended: false };
          const moving = online.move({ throttled: false }).finally(() => (second.ended = true));
          moving.catch(() => undefined); // looked at below
          await until(
            admin,
            `SELECT count(*) > 0 FROM guardian_migration.batch WHERE state = 'done' AND epoch > ${epoch} AND rows_written > 0`,
          );
          first.child.kill("SIGCONT");
          const end = await first.end;
          expect(second.ended, "the second is through").to.equal(false);
          expect(end.what).to.match(/another operator has taken over|the connection to the database was lost/);
          expect(await moving).to.deep.include({ written: BigInt(users), rejected: 0n });
          expect(await column(admin, byFirst), "rows of the first").to.deep.equal(before);
          expect(await column(admin, written)).to.deep.equal([users]);
          expect(await online.differing()).to.equal(0);
          expect(await online.traces()).to.equal(0);
        } finally {
          first.child.kill("SIGKILL");
        }
      },
      patient,
    ),
  );

  long("its second connection between two batches, where nobody ends it: the epoch fences what it sends", () =>
    withOnline(
      "preferences",
      users,
      async (online) => {
        const first = await firstOperator(online, { at: 1, inside: false, second: true });
        await takenOver(online, first);
      },
      patient,
    ),
  );

  long("its second connection in the middle of a transaction, which holds the ledger's row", () =>
    withOnline(
      "preferences",
      users,
      async (online) => {
        // Each batch takes so long that neither connection is given all of them before the other has its second.
        await online.admin
          .query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
          CREATE TRIGGER slow AFTER INSERT ON public.user_preferences FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`);
        await takenOver(online, await firstOperator(online, { at: 2, inside: true, second: true }));
      },
      patient,
    ),
  );
});
