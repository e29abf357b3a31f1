import { GuardianError } from "../../engine/base/errors";
import type { Stand } from "./choices";
import type { Theirs } from "./compare";
import type { Content, Row } from "./content";
import type { Life, Measure, Picture } from "./life";
import type { Timeline } from "./strike";

/** How long each way takes that nobody disturbs; key: "from to". */
export type Lines = Record<string, Timeline>;

/** Tables that the migration fills: an empty one measures nothing. */
const filledTables = ["public.patient_consents", "public.user_preferences", "public.feature_flags"];

/**
 * There and back without a kill: what is left at each stand, and how long each way takes. Users write in between, so that
 * what is expected of disturbed runs is seen to hold in this one.
 *
 * @throws GuardianError if an undisturbed run is not its own equal: then nothing can be compared
 */
export async function takeMeasure(
  life: Life,
  { seed, say }: { seed: string; say: (line: string) => void },
): Promise<{ measure: Measure; lines: Lines }> {
  const lines: Lines = {};
  const go = async (to: Stand): Promise<Picture> => {
    const from = life.stand;
    const line = await life.go(to);
    lines[`${from} ${to}`] = line;
    const { duration, dataLength, proofLength } = line;
    const proof = proofLength > 0 ? `, the proof of its backup ${Math.round(proofLength)} ms` : "";
    say(
      `undisturbed, ${from} → ${to}: ${Math.round(duration)} ms, its data stage ${Math.round(dataLength)} ms${proof}`,
    );
    return life.picture();
  };
  const before = await life.picture();
  const v7 = await go("v7");
  say(`the rows are moved in ${await life.batches()} batches`);
  const empty = filledTables.filter((table) => (v7.content.rows.get(table) ?? []).length === 0);
  if (empty.length > 0) throw unfit([`nothing was written into ${empty.join(", ")}`]);
  await life.use(seed, 0);
  const lowered = await go("schema");
  await go("v7");
  const { faults } = await life.compare({ v7, schema: lowered, v6: before });
  // How the session stands after a rollback is what this one left; all else is as it was before.
  const { facts } = (await go("v6")).content;
  const v6 = { ...before, content: { ...before.content, facts } };
  const schema = { ...lowered, content: without(lowered.content, life.theirs) };
  faults.push(...(await life.compare({ v7, schema, v6 })).faults);
  if (faults.length > 0) throw unfit(faults);
  // From here on it takes a part of the way; instants after its end are misses and drawn again.
  const [whole, part] = [lines["v7 v6"], lines["v7 schema"]];
  if (whole && part) {
    const duration = Math.max(whole.duration - part.duration / 3, whole.duration / 2);
    lines["schema v6"] = { duration, backend: whole.backend, dataBegin: 0, dataLength: 0, proofLength: 0 };
  }
  return { measure: { v6, schema, v7 }, lines };
}

/** What the migration itself leaves: the rows that users wrote are not part of the measure. */
function without(content: Content, theirs: Theirs): Content {
  const rows = new Map<string, Row[]>();
  for (const [table, all] of content.rows)
    rows.set(
      table,
      all.filter((row) => !theirs.get(table)?.has(row.key)),
    );
  return { ...content, rows };
}

function unfit(faults: readonly string[]): GuardianError {
  return new GuardianError("measurement-failed", {
    what: `an undisturbed run there and back is not what it was the first time:\n  ${faults.join("\n  ")}`,
    where: "npm run faults",
    todo: "mend the migration first; there is nothing to compare disturbed runs with",
  });
}
