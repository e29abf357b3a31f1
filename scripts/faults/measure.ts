import { GuardianError } from "../../engine/errors";
import type { Stand } from "./choices";
import { compareContent, type Theirs } from "./compare";
import type { Content, Row } from "./content";
import type { Life, Measure, World } from "./life";
import type { Timeline } from "./strike";

/** How long each way takes that nobody disturbs; key: "from to". */
export type Lines = Record<string, Timeline>;

/**
 * There and back without a kill: what is left at each stand, and how long each way takes. Users write in between, so that
 * what is expected of disturbed runs is seen to hold in this one.
 *
 * @throws GuardianError if an undisturbed run is not its own equal: then nothing can be compared
 */
export async function takeMeasure(
  { server }: World,
  life: Life,
  { seed, say }: { seed: string; say: (line: string) => void },
): Promise<{ measure: Measure; lines: Lines }> {
  const lines: Lines = {};
  const go = async (to: Stand): Promise<Content | undefined> => {
    const from = life.stand;
    const line = await life.go(to);
    lines[`${from} ${to}`] = line;
    const { duration, dataLength } = line;
    say(`undisturbed, ${from} → ${to}: ${Math.round(duration)} ms, its data stage ${Math.round(dataLength)} ms`);
    return to === "v6" ? undefined : life.content();
  };
  const before = await server.fingerprint();
  const v7 = must(await go("v7"));
  const empty = [...v7.rows].filter(([, rows]) => rows.length === 0).map(([table]) => table);
  if (empty.length > 0) throw unfit([`nothing was written into ${empty.join(", ")}`]);
  await life.use(seed, 0);
  const schema = without(must(await go("schema")), life.theirs);
  const again = must(await go("v7"));
  const { faults } = compareContent(v7, life.theirs, again);
  await go("v6");
  faults.push(...(await server.differences(before)));
  if (faults.length > 0) throw unfit(faults);
  // From here on it takes a part of the way; instants after its end are misses and drawn again.
  const [whole, part] = [lines["v7 v6"], lines["v7 schema"]];
  if (whole && part) {
    const duration = Math.max(whole.duration - part.duration / 3, whole.duration / 2);
    lines["schema v6"] = { duration, backend: whole.backend, dataBegin: 0, dataLength: 0 };
  }
  return { measure: { before, content: { schema, v7 } }, lines };
}

/** What the migration itself leaves: the rows that users wrote are not part of the measure. */
function without(content: Content, theirs: Theirs): Content {
  const rows = new Map<string, Row[]>();
  for (const [table, all] of content.rows)
    rows.set(
      table,
      all.filter((row) => !theirs.get(table)?.has(row.key)),
    );
  return { rows, facts: content.facts };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new GuardianError({ what: "no content was read", where: "npm run faults" });
  return value;
}

function unfit(faults: readonly string[]): GuardianError {
  return new GuardianError({
    what: `an undisturbed run there and back is not what it was the first time:\n  ${faults.join("\n  ")}`,
    where: "npm run faults",
    todo: "mend the migration first; there is nothing to compare disturbed runs with",
  });
}
