import type { FencedWriter } from "../database";
import { fromStatement, GuardianError } from "../base/errors";
import { hash } from "../base/hash";
import { attempt } from "../ledger/attempt";
import { detailOf, readStep, type Step } from "../ledger/steps";
import { begin, type Context, type MoveOptions } from "./context";
import type { Migration } from "./definition/migration";
import { catchUp } from "./phases/catch-up";
import { cutOver } from "./phases/cut-over";
import { follow } from "./phases/follow";
import { move } from "./phases/move";
import { plan } from "./phases/plan";
import { prove } from "./phases/prove";
import { readMoved, type Moved } from "./recorded";

/**
 * In their order. Each goes on where an earlier run was cut off, so that a run begins with the first of them whatever was
 * done before. Triggers come first: a row that v6 changes is either seen by the plan or noted.
 */
const phases: readonly ((context: Context) => Promise<void>)[] = [follow, plan, move, catchUp, prove, cutOver];

/**
 * Moves the rows online: triggers note what v6 changes, ranges are planned, workers move them batch by batch, what v6
 * changed meanwhile is caught up with, source and target are compared, and in one short moment the triggers go and the
 * ledger says done. Goes on where an earlier run was cut off. A row of the target that is there already is left alone,
 * whatever its state.
 * @throws GuardianError without row values
 */
export async function moveRows(
  fenced: FencedWriter,
  migration: Migration,
  parameters: object,
  options: MoveOptions = {},
): Promise<Moved> {
  const { urn, onProgress } = fenced.options;
  const current = await readStep(fenced.writer, urn);
  const asked = hash([migration.meaning, parameters]);
  if (current && current.state !== "undone") refuseOther(migration, current, asked);
  if (current?.state !== "done") {
    onProgress({ phase: "begin", subject: migration.name });
    const running = { kind: "DataMigration", state: "running", meaning: migration.meaning } as const;
    await attempt(fenced, running, "planned", async (step) => {
      try {
        const context = await begin(fenced, step, migration, { parameters, asked }, options);
        try {
          for (const phase of phases) await phase(context);
        } finally {
          await context.close();
        }
      } catch (err) {
        const todo = "what is moved stays moved; mend the cause, then run this again: it goes on from there";
        throw fromStatement(err, `data migration ${migration.name}`, todo, migration.target);
      }
    });
  }
  return readMoved(fenced.writer, urn);
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
