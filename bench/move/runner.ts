/**
 * Runs one job in a process of its own, so that its memory is the engine's alone. Started by `runJob` with
 * --expose-gc; it ends with its answer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../../engine/database";
import { countBatches } from "../../engine/ledger/tools";
import { addStep } from "../../engine/ledger/steps";
import { moveRows } from "../../engine/migrate";
import { openBatch, type Run } from "../../engine/migrate/rows/batch";
import { loadMigration, type Migration } from "../../engine/migrate/definition/migration";
import { mapped, onceOnly, readConstants } from "../../engine/migrate/definition/source";
import type { Operator } from "../../engine/operator";
import { withOperator } from "../../scripts/v6/operator";
import { parameters, throttled } from "./figures";
import type { Job, Outcome } from "./job";
import { Memory } from "./memory";
import { Observer } from "./observer";
import { rawStatement } from "./raw";

async function run({ login, migration: name, how }: Job): Promise<Outcome> {
  const observer = new Observer();
  const once = async (operator: Operator): Promise<Outcome> => {
    const migration = await loadMigration(name);
    const work = typeof how === "number" ? ours(how) : raw(how === "raw");
    const memory = await Memory.idle();
    const timed = await operator.write("DataMigration", name, (fenced) => work(fenced, migration, observer));
    const { peakMb: memoryMb, idleMb } = memory.end();
    return { ...timed, ...observer.end(), memoryMb, idleMb };
  };
  return withOperator(login, once, { onProgress: observer.onProgress });
}

type Timed = Pick<Outcome, "totalMs" | "rows" | "batches">;

const ours =
  (workers: number) =>
  async (fenced: FencedWriter, migration: Migration, observer: Observer): Promise<Timed> => {
    observer.begin();
    const began = performance.now();
    const values = parameters[migration.name] ?? {};
    const moved = await moveRows(fenced, migration, values, { workers, throttled });
    const totalMs = performance.now() - began;
    const batches = await countBatches(fenced.writer, fenced.options.urn);
    return { totalMs, rows: Number(moved.written), batches };
  };

/** One statement in one ledger batch, so that the audit triggers pass over its rows as they do over ours. */
const raw =
  (asGuide: boolean) =>
  async (fenced: FencedWriter, migration: Migration): Promise<Timed> => {
    const { writer, options } = fenced;
    const it = await mapped(writer, migration);
    const guarded = await onceOnly(writer, it);
    const rule = asGuide && guarded ? "on conflict" : "not exists";
    const constants = await readConstants(writer, it.source, new Date().toISOString());
    const values = JSON.stringify({ ...parameters[migration.name], ...constants });
    const kind = { urn: options.urn, kind: "DataMigration", state: "running" } as const;
    const step = await addStep(writer, kind);
    const one: Run = {
      it,
      urn: options.urn,
      stepId: step.id,
      parameters: values,
      guarded,
      gate: () => Promise.resolve(),
    };
    await writer.query(
      "SELECT pg_catalog.set_config('row_security', 'off', false), pg_catalog.set_config('jit', 'off', false)",
    );
    const began = performance.now();
    const rows = await fenced.transaction(async (db) => {
      await openBatch(db, one);
      return (await db.query(rawStatement(it, rule), [values])).rowCount ?? 0;
    });
    return { totalMs: performance.now() - began, rows, batches: 1 };
  };

if (process.send) {
  process.once("message", (job: Job) => {
    run(job)
      .catch((err: unknown) => ({ error: err instanceof Error ? (err.stack ?? err.message) : String(err) }))
      .then(async (answer) => {
        process.send?.(answer);
        await sleep(20); // the channel is emptied
        process.disconnect();
      })
      .catch(() => process.exit(1));
  });
}
