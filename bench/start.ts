import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { median, type Benchmark, type Figures, type Run } from "./benchmark";

const root = join(__dirname, "..");

/** What a process loads besides the program, by the figure's name. */
const besides = {
  /** As it stands: dev's configuration names nothing of AWS. */
  devMs: undefined,
  /** As if the program imported what it needs where `guardian:aws` names a database. */
  snapshotMs: "./components/aws-snapshot",
  /** As if it imported the package by its name. */
  packageMs: "@pulumi/aws",
} as const;

interface Loaded {
  /** Processor time: what else the machine does says little then. */
  ms: number;
  /** Files of @pulumi/aws and @pulumi/postgresql. */
  files: number;
}

/**
 * How long the program takes to load, as Pulumi's language host has it (Pulumi.yaml, nodeargs): each time a new process, and
 * the three in turn.
 */
export const start: Benchmark = {
  name: "start",
  about: "the program's import on dev, beside one that imports what guardian:aws needs (devFiles: 0)",
  notes: [
    "Milliseconds of processor time. snapshotMs: with components/aws-snapshot besides; packageMs: with @pulumi/aws by its name;",
    "devFiles, snapshotFiles: files of @pulumi/aws and @pulumi/postgresql that are loaded then.",
  ],
  options: { rounds: { default: 5, least: 1, about: "how often each of the three is measured, in turn" } },
  run: measure,
};

async function measure({ say, signal, options }: Run): Promise<Figures> {
  const names = Object.keys(besides) as (keyof typeof besides)[];
  const took = names.map((name) => [name, [] as number[]] as const);
  const loaded = { devMs: 0, snapshotMs: 0, packageMs: 0 };
  for (let round = 1; round <= (options["rounds"] ?? 5); round++) {
    for (const [name, times] of took) {
      const { ms, files } = await load(besides[name], signal);
      times.push(ms);
      loaded[name] = files;
    }
    say(`round ${round}: ${took.map(([name, times]) => `${name} ${Math.round(times.at(-1) ?? 0)}`).join(", ")}`);
  }
  const medians = took.map(([name, times]) => [name, Math.round(median(times))] as const);
  return { ...Object.fromEntries(medians), devFiles: loaded.devMs, snapshotFiles: loaded.snapshotMs };
}

async function load(besides: string | undefined, signal: AbortSignal): Promise<Loaded> {
  const code = `const began = process.cpuUsage();
    require("./index.ts");
    ${besides === undefined ? "" : `require(${JSON.stringify(besides)});`}
    const { user, system } = process.cpuUsage(began);
    const ms = (user + system) / 1000;
    const files = Object.keys(require.cache).filter((file) => /@pulumi.(aws|postgresql)\\b/.test(file)).length;
    process.stdout.write(JSON.stringify({ ms, files }));`;
  const args = ["--import", "tsx", "--eval", code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, signal });
  return JSON.parse(stdout) as Loaded;
}
