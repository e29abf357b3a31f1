import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { readRejects, rejected, showRejects } from "../ledger/rejects";
import { setStep, type StepOf } from "../ledger/steps";
import type { Migration } from "./definition/migration";
import { refuseOthersTarget, refuseUnmarked } from "./definition/marked";
import { mapped, onceOnly, readConstants, type Mapped } from "./definition/source";
import { recorded } from "./recorded";
import type { Run } from "./rows/batch";
import type { Proof } from "./rows/proof";
import { Crew, worthThrottling } from "./workers/crew";

export interface MoveOptions {
  /**
   * Unix time in milliseconds until which v6 tables are asked for; in half an hour where it is not said. Moving and
   * comparing take what they take: each later phase has as long from its own beginning.
   */
  deadline?: number;
  /**
   * The share of this migration's rows that may be rejected, 0.001 where it is not said; above it the migration stops. The gate
   * after it asks the same of each table of v6: the share of its rows that may be lost.
   */
  maxDataLoss?: number;
  /** At most so many workers, whatever the migration says; for benchmarks. */
  workers?: number;
  /** False: at full speed, whatever the application feels; for benchmarks. */
  throttled?: boolean;
  /** Gets a line for each thing that the throttle cannot watch here. */
  onWarning?: (line: string) => void;
}

/** A data migration on its way: all that a phase is given, and what it leaves for those that come after it. */
export class Context implements Run {
  readonly urn: string;
  /**
   * Rows that the rejected ones are a share of. Of all keys of the plan while it is not known for how many of them the
   * source offers a row; the comparison counts them.
   */
  total = 0;
  /** What the comparison of all rows found. */
  proof: Proof | undefined;
  #crew: Crew | undefined;

  /**
   * @param fenced the operator's own
   * @param parameters `$1` of the source
   * @param patience for how long a phase may ask for v6 tables, in milliseconds
   */
  constructor(
    readonly fenced: FencedWriter,
    readonly it: Mapped,
    readonly stepId: string,
    readonly parameters: string,
    readonly guarded: boolean,
    readonly patience: number,
    readonly options: MoveOptions,
  ) {
    this.urn = fenced.options.urn;
  }

  /** @returns Unix time in milliseconds until which a phase that begins now may ask for v6 tables */
  deadline(): number {
    return Date.now() + this.patience;
  }

  /**
   * Opens the crew, as large as the plan is worth it. Nothing of ours may load the server yet: the throttle measures what
   * is usual without us.
   */
  async hire(): Promise<void> {
    const { workers = this.it.workers, throttled, onWarning } = this.options;
    const large = worthThrottling(this.total);
    this.#crew = await Crew.open(this.fenced, this.urn, recorded(this.it), {
      workers: large ? workers : 1,
      throttled: large && throttled !== false,
      onWarning,
    });
  }

  /** Who works from the moving of the ranges on. */
  get crew(): Crew {
    if (!this.#crew) throw new Error("no phase has hired the crew yet");
    return this.#crew;
  }

  /** @throws GuardianError naming the most frequent reasons, if more rows are rejected than maxDataLoss allows */
  async gate(asking: FencedWriter): Promise<void> {
    const { maxDataLoss: most = 0.001 } = this.options;
    const rejects = await readRejects(asking.writer, this.urn);
    const lost = rejected(rejects);
    if (lost <= most * this.total) return;
    const reasons = rejects.map(({ sqlstate, object, rows: n }) => `${n} × ${sqlstate}${object ? ` (${object})` : ""}`);
    throw new GuardianError("too-many-rejects", {
      what: `${lost} rows cannot be moved, of ${this.total}: more than gates.maxDataLoss (${most}) allows; the migration stopped`,
      where: reasons.slice(0, 5).join(", "),
      todo: [
        `see which: ${showRejects(this.urn)}; mend them in v6, then run this again: it goes on`,
        "raise guardian:gates.maxDataLoss if these rows may be left out",
      ],
    });
  }

  async close(): Promise<void> {
    await this.#crew?.close();
  }
}

/**
 * Finds out how a migration runs in this database, and writes down what a later run, or a rollback, must know of it.
 * @param asked hash of the migration's meaning and its parameters
 * @throws GuardianError if the database's tables do not fit it, or do not any more
 */
export async function begin(
  fenced: FencedWriter,
  step: StepOf<"DataMigration">,
  migration: Migration,
  { parameters, asked }: { parameters: object; asked: string },
  options: MoveOptions,
): Promise<Context> {
  const { writer } = fenced;
  const it = await mapped(writer, migration);
  await refuseUnmarked(writer, it);
  await refuseOthersTarget(writer, it);
  const { deadline = Date.now() + 30 * 60_000 } = options;
  const { constants: known, sourceFile } = step.detail;
  if (sourceFile !== undefined && sourceFile !== it.source.file) throw otherSource(it, sourceFile);
  await writer.query("SELECT pg_catalog.set_config('row_security', 'off', false)");
  // The same for every run: rows of one migration are judged as of one time.
  const constants = known ?? (await readConstants(writer, it.source, step.startedAt));
  await fenced.transaction((db) =>
    setStep(db, step, {
      state: "running",
      detail: { begun: true, removed: "0", asked, constants, sourceFile: it.source.file, plan: recorded(it) },
    }),
  );
  const patience = deadline - Date.now();
  const guarded = await onceOnly(writer, it);
  const given = JSON.stringify({ ...parameters, ...constants });
  return new Context(fenced, it, step.id, given, guarded, patience, options);
}

function otherSource(it: Mapped, before: string): GuardianError {
  return new GuardianError("migration-changed", {
    what: `data migration ${it.name} began with another source; rows that are written are not rewritten`,
    where: `${before} then, ${it.source.file} now: ${it.sources.flatMap(({ needs }) => needs ?? []).join(", ")} came or went meanwhile`,
    todo: [
      "put the table back as it was, then run this again",
      "roll the data stage back first (guardian:through schema, up, or destroy), then raise it again",
    ],
  });
}
