import { GuardianError } from "../../engine/base/errors";
import { choose, type Choice, type Stand } from "./choices";
import type { Verdict } from "./compare";
import { Life, type World } from "./life";
import { takeMeasure, type Lines } from "./measure";
import type { Outcome } from "./operate";
import type { Timeline } from "./strike";

/** The figures that are published. */
interface Figures {
  kills: number;
  lost: number;
  twice: number;
  converged: boolean;
  maxLostRows: number;
}

export interface Report {
  figures: Figures;
  /** A line of the table for each kill. */
  table: Record<string, string | number>[];
}

export interface Plan {
  kills: number;
  seed: string;
  say: (line: string) => void;
  /** Tests put a defect into the database behind the product's back, just before each comparison. */
  tamper?: ((life: Life) => Promise<void>) | undefined;
}

/** Kills until as many have hit as asked for; each operation is compared before the next one begins. */
export async function run(world: World, plan: Plan): Promise<Report> {
  const { kills, seed, say } = plan;
  let life = await Life.begin(world, 0);
  let written = 0;
  const anew = async (n: number): Promise<void> => {
    written += life.written;
    life.end();
    life = await Life.begin(world, n);
  };
  const { measure, lines } = await takeMeasure(life, plan);
  await anew(1);
  const figures: Figures = { kills: 0, lost: 0, twice: 0, converged: true, maxLostRows: 0 };
  const table: Report["table"] = [];
  const count = ({ lost, twice, faults }: Verdict): void => {
    figures.lost += lost;
    figures.twice += twice;
    figures.maxLostRows = Math.max(figures.maxLostRows, lost);
    figures.converged &&= faults.length === 0;
    faults.forEach((fault) => say(`  ✗ ${fault}`));
  };
  for (let n = 1; figures.kills < kills; n++) {
    // A miss is a run that nobody disturbed: its instant fell behind the run's end.
    if (n > 20 + 5 * kills)
      throw new GuardianError("measurement-failed", { what: "too few of the kills hit", where: `operation ${n}` });
    const drawn = choose(seed, n, life.stand, world.proof);
    const choice = { ...drawn, kills: drawn.kills.slice(0, kills - figures.kills) };
    if (choice.fresh) await anew(n + 1);
    const way = `${life.stand} → ${choice.to}`;
    const began = performance.now();
    const line = lineOf(lines, life.stand, choice.to);
    const outcome = await life.goDisturbed(choice, line, `${seed} ${n}`);
    const took = Math.round((performance.now() - began) / 100) / 10;
    figures.kills += outcome.hits.length;
    await plan.tamper?.(life);
    const verdict = outcome.failed === undefined ? await life.compare(measure) : unended(outcome);
    verdict.faults.push(...outcome.faults);
    const shown = rowsOf(n, way, choice, outcome, took, verdict);
    shown.forEach((row) => say(`${figures.kills}/${kills}  ${Object.values(row).join("  ")}`));
    if (shown.length === 0) {
      say(`${figures.kills}/${kills}  operation ${n}, ${way}: missed, it had ended`);
      line.duration = Math.min(line.duration, took * 1000); // the measured run was a slow one
    }
    count(verdict);
    table.push(...shown);
    // What went wrong once must not be counted again after every later run.
    if (verdict.faults.length > 0) await anew(n + 1);
    else if (life.stand === "v7") await life.use(seed, n);
  }
  if (life.stand !== "v7" && life.theirs.size > 0) {
    say("once more, undisturbed, to v7: the rows of users must be there");
    await life.go("v7");
    count(await life.compare(measure));
  }
  say(`v6 committed ${written + life.written} transactions meanwhile`);
  return { figures, table };
}

function unended({ tries, failed }: Outcome): Verdict {
  return { lost: 0, twice: 0, faults: [`not ended after ${tries} tries; the last one said:\n${failed ?? ""}`] };
}

function lineOf(lines: Lines, from: Stand, to: Stand): Timeline {
  const line = lines[`${from} ${to}`];
  if (line) return line;
  throw new GuardianError("measurement-failed", { what: `the way from ${from} to ${to} was not measured` });
}

/** A line for each kill of an operation; what became of the operation stands in the last one. */
function rowsOf(n: number, way: string, choice: Choice, outcome: Outcome, took: number, verdict: Verdict) {
  return outcome.hits.map((hit, i) => {
    const last = i === outcome.hits.length - 1;
    return {
      operation: n,
      way: choice.fresh ? `fresh: ${way}` : way,
      killed: hit.victim,
      "at (s)": hit.seconds.toFixed(2),
      step: hit.step,
      tries: last ? outcome.tries : "",
      seconds: last ? took : "",
      equal: last ? (verdict.faults.length === 0 ? "yes" : "NO") : "",
    };
  });
}
