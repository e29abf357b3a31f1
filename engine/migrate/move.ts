import type { WriteSession } from "../database";
import { fromStatement, GuardianError } from "../base/errors";
import { attempt } from "../ledger/attempt";
import { standingRows } from "../ledger/batches";
import { planSize } from "../ledger/ranges";
import { readRejects, rejected, rejectedKeys, showRejects } from "../ledger/rejects";
import { hash } from "../base/hash";
import { detailOf, readStep, setStep, type Step, type StepOf } from "../ledger/steps";
import type { Run } from "./batch";
import { catchUp, cutOver } from "./catch-up";
import { Crew, worthThrottling } from "./crew";
import { type Migration } from "./definition";
import { startFollowing } from "./follow";
import { outlast } from "./outlast";
import { planRanges } from "./plan";
import { Meter } from "./progress";
import { onceOnly, prove } from "./proof";
import { readMoved, recorded, type Moved } from "./recorded";
import { settleKeys } from "./settle";
import { mapped, readConstants, type Mapped } from "./source";
import { runWorkers } from "./workers";
import { Worklist } from "./worklist";

export interface MoveOptions {
  /**
   * Unix time in milliseconds until which v6 tables are asked for; in half an hour where it is not said. Moving and
   * comparing take what they take: each later phase has as long from its own beginning.
   */
  deadline?: number;
  /** The share of rows that may be rejected, 0.001 where it is not said; above it the migration stops. */
  maxDataLoss?: number;
  /** At most so many workers, whatever the migration says; for benchmarks. */
  workers?: number;
  /** False: at full speed, whatever the application feels; for benchmarks. */
  throttled?: boolean;
  /** Gets a line for each thing that the throttle cannot watch here. */
  onWarning?: (line: string) => void;
}

/**
 * Moves the rows online: triggers note what v6 changes, ranges are planned, workers move them batch by batch, what v6
 * changed meanwhile is caught up with, source and target are compared, and in one short moment the triggers go and the
 * ledger says done. Goes on where an earlier run was cut off. A row of the target that is there already is left alone,
 * whatever its state.
 * @throws GuardianError without row values
 */
export async function moveRows(
  session: WriteSession,
  migration: Migration,
  parameters: object,
  options: MoveOptions = {},
): Promise<Moved> {
  const { urn, onProgress } = session.options;
  const current = await readStep(session.writer, urn);
  const asked = hash([migration.meaning, parameters]);
  if (current && current.state !== "undone") refuseOther(migration, current, asked);
  if (current?.state !== "done") {
    onProgress({ phase: "begin", subject: migration.name });
    const running = { kind: "DataMigration", state: "running", meaning: migration.meaning } as const;
    await attempt(session, running, "planned", async (step) => {
      try {
        const it = await mapped(session.writer, migration);
        const limits = { deadline: Date.now() + 30 * 60_000, maxDataLoss: 0.001, ...options };
        await moveAll(session, it, step, { parameters, asked }, limits);
      } catch (err) {
        const todo = "what is moved stays moved; mend the cause, then run this again: it goes on from there";
        throw fromStatement(err, `data migration ${migration.name}`, todo, migration.target);
      }
    });
  }
  return readMoved(session.writer, urn);
}

async function moveAll(
  session: WriteSession,
  it: Mapped,
  step: StepOf<"DataMigration">,
  { parameters, asked }: { parameters: object; asked: string },
  options: MoveOptions & { deadline: number; maxDataLoss: number },
): Promise<void> {
  const constants = await begin(session, it, step, asked);
  const given = JSON.stringify({ ...parameters, ...constants });
  // Of all keys while it is not known how many of them the source offers a row for.
  let total = 0;
  const gate = (asking: WriteSession): Promise<void> => refuseLoss(asking, step.urn, total, options.maxDataLoss);
  const patience = options.deadline - Date.now();
  const guarded = await onceOnly(session.writer, it);
  const run: Run = { it, urn: step.urn, stepId: step.id, parameters: given, guarded, gate };
  session.options.onProgress({ phase: "follow", subject: it.name });
  await startFollowing(session, options.deadline, it);
  total = await planRanges(session, it);
  const large = worthThrottling(total);
  const crew = await Crew.open(session, step.urn, recorded(it), {
    workers: large ? (options.workers ?? it.workers) : 1,
    throttled: large && options.throttled !== false,
    onWarning: options.onWarning,
  });
  try {
    await settleKeys(session, run, await rejectedKeys(session.writer, step.urn));
    await moveRanges(crew, run, total);
    await catchUp(crew, run, Date.now() + patience);
    await gate(session);
    // Else the comparison could miss a row that somebody is still writing beside one of ours.
    if (!guarded) await outlast(session, it.target, Date.now() + patience);
    session.options.onProgress({ phase: "prove", subject: it.name });
    const proof = await prove(crew, run);
    total = Number(proof.source);
    await cutOver(crew, run, Date.now() + patience, async () => {
      await gate(session);
      const rejects = await readRejects(session.writer, step.urn);
      const failed = rejected(rejects);
      const written = await standingRows(session.writer, step.urn);
      return {
        source: proof.source.toString(),
        equal: proof.equal.toString(),
        checksum: proof.checksum.toString(),
        counted: proof.counted,
        ...{ processed: written, written, failed, rejects },
      };
    });
  } finally {
    await crew.close();
  }
}

/**
 * What began with one text and one set of parameters does not go on with others: half of the rows would say what nobody
 * chose. Pulumi's state may know nothing of it, if it was killed.
 * @throws GuardianError with the ways out
 */
function refuseOther(migration: Migration, current: Step, asked: string): void {
  const begun = detailOf(current, "DataMigration").asked;
  if (begun === undefined || begun === asked) return;
  throw new GuardianError("migration-changed", {
    what: `data migration ${migration.name} began with other parameters or another text; rows that are written are not rewritten`,
    where: `guardian:legacyConsent, sql/data/${migration.name}`,
    todo: [
      "set them back as they were",
      "roll the data stage back first (guardian:through schema, up, or destroy), then raise it again",
    ],
  });
}

/** Writes down what a later run, or a rollback, must know. @returns the constants, the same for every run */
async function begin(session: WriteSession, it: Mapped, step: StepOf<"DataMigration">, asked: string): Promise<object> {
  const { constants: known, sourceFile } = step.detail;
  if (sourceFile !== undefined && sourceFile !== it.source.file) {
    throw new GuardianError("migration-changed", {
      what: `data migration ${it.name} began with another source; rows that are written are not rewritten`,
      where: `${sourceFile} then, ${it.source.file} now: ${it.sources.flatMap(({ needs }) => needs ?? []).join(", ")} came or went meanwhile`,
      todo: [
        "put the table back as it was, then run this again",
        "roll the data stage back first (guardian:through schema, up, or destroy), then raise it again",
      ],
    });
  }
  await session.writer.query("SELECT pg_catalog.set_config('row_security', 'off', false)");
  const constants = known ?? (await readConstants(session.writer, it.source, step.startedAt));
  await session.transaction((db) =>
    setStep(db, step, {
      state: "running",
      detail: { begun: true, removed: "0", asked, constants, sourceFile: it.source.file, plan: recorded(it) },
    }),
  );
  return constants;
}

async function moveRanges(crew: Crew, run: Run, total: number): Promise<void> {
  const { writer } = crew.first;
  const { moved: done } = await planSize(writer, run.urn);
  if (done >= total) return;
  const list = await Worklist.read(writer, run.urn, crew.workers.length);
  await runWorkers(crew, run, list, new Meter("move", run.it.name, total, done));
}

async function refuseLoss(session: WriteSession, urn: string, total: number, most: number): Promise<void> {
  const rejects = await readRejects(session.writer, urn);
  const lost = rejected(rejects);
  if (lost <= most * total) return;
  const reasons = rejects.map(({ sqlstate, object, rows: n }) => `${n} × ${sqlstate}${object ? ` (${object})` : ""}`);
  throw new GuardianError("too-many-rejects", {
    what: `${lost} rows cannot be moved, of ${total}: more than gates.maxDataLoss (${most}) allows; the migration stopped`,
    where: reasons.slice(0, 5).join(", "),
    todo: [
      `see which: ${showRejects(urn)}; mend them in v6, then run this again: it goes on`,
      "raise guardian:gates.maxDataLoss if these rows may be left out",
    ],
  });
}
