import type { KeptOutcome } from "../engine/ledger/details";
import { detailOf, readSteps } from "../engine/ledger/steps";
import { withClient, type Login } from "../scripts/v6/database";
import { fixed, median, type Benchmark, type Figures, type Run } from "./benchmark";
import { withDatabase } from "./server";
import { BenchStack, purging } from "./stack";

/**
 * What the gates cost of an `up` that does everything: the seconds that the ledger says their checks took, and those of the
 * CLI from start to end. Nobody else uses the server, so that the data migrations go at full speed: beside an application
 * the `up` would be longer, and the share smaller.
 */
export const gates: Benchmark = {
  name: "gates",
  about: "the seconds of all gates, beside those of the whole up on an idle server (share: at most 0.20)",
  options: {
    rounds: { default: 1, least: 1, about: "how often the whole up is run and undone" },
    users: { default: 200_000, least: 100, about: "users in the database" },
  },
  run: (run) => withDatabase(run, (folder, { migrator }) => measure(run, folder, migrator)),
};

async function measure(run: Run, folder: string, login: Login): Promise<Figures> {
  const { say, options } = run;
  const { rounds = 1 } = options;
  const stack = await BenchStack.open(run, folder, login, purging);
  const found: { gateSeconds: number; upSeconds: number; share: number }[] = [];
  for (let i = 1; i <= rounds; i++) {
    const upSeconds = (await stack.up({ unchanged: false })) / 1000;
    const outcomes = await withClient(login, recorded);
    if (outcomes.length === 0) throw new Error("the ledger says nothing of any gate: there is nothing to measure");
    const gateSeconds = outcomes.reduce((sum, { seconds }) => sum + seconds, 0);
    found.push({ gateSeconds, upSeconds, share: gateSeconds / upSeconds });
    const longest = [...outcomes].sort((a, b) => b.seconds - a.seconds).slice(0, 5);
    say(
      `round ${i} of ${rounds}: up ${upSeconds.toFixed(1)} s, ${outcomes.length} checks ${gateSeconds.toFixed(1)} s; the longest: ` +
        longest.map(({ check, seconds }) => `${check} ${seconds.toFixed(2)} s`).join(", "),
    );
    if (i < rounds) await stack.destroy();
  }
  const middle = (name: "gateSeconds" | "upSeconds" | "share"): number => fixed(median(found.map((one) => one[name])));
  return { gateSeconds: middle("gateSeconds"), upSeconds: middle("upSeconds"), share: middle("share") };
}

/** What every gate of the stack said, as the ledger has it. */
async function recorded(client: Parameters<typeof readSteps>[0]): Promise<KeptOutcome[]> {
  const standing = (await readSteps(client)).filter(({ kind, state }) => kind === "Gate" && state === "done");
  return standing.flatMap((step) => [...(detailOf(step, "Gate").outcomes ?? [])]);
}
