import { expect } from "chai";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../scripts/demo/story";

export const clone = join(__dirname, "..", "..");

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the demo in a process of its own, whose temporary folder must be empty afterwards and named by no process. */
export async function demo(
  args: string[],
  env: Record<string, string> = {},
  watch?: (stderr: string, child: ChildProcess) => void,
): Promise<Ended & { folder: string; left: string[]; processes: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "demo of a test "));
  chmodSync(folder, 0o755);
  // The loader's cache stays: what the demo is made of need not be compiled again for each run.
  const cache = `tsx-${process.geteuid?.() ?? 0}`;
  mkdirSync(join(tmpdir(), cache), { recursive: true });
  symlinkSync(join(tmpdir(), cache), join(folder, cache));
  const child = spawn(process.execPath, ["--require", "tsx/cjs", "scripts/demo.ts", ...args], {
    cwd: clone,
    env: { ...process.env, ...env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      out[stream] += text;
      watch?.(out.stderr, child);
    });
  }
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.once("close", (...ended) => done(ended)),
  );
  const left = readdirSync(folder).filter((name) => !name.startsWith("tsx-")); // the loader's cache
  const processes = spawnSync("ps", ["-ewwo", "pid,args"], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.includes(folder));
  if (!args.includes("--keep")) rmSync(folder, { recursive: true, force: true });
  return { code, signal, ...out, folder, left, processes };
}

/** Settings of a user that would lead astray. */
export const hostile = {
  PGHOST: "db.example.invalid",
  PGSERVICE: "none",
  PGSSLMODE: "require",
  PGOPTIONS: "-c nonsense=1",
  PULUMI_BACKEND_URL: "https://example.invalid",
  PULUMI_ACCESS_TOKEN: "none",
  PULUMI_STACK: "none",
};

/** What a demo of 300 users with --json says, to its rollback. */
export function tellsAll({ code, stdout, stderr }: Ended): void {
  expect(code, stderr).to.equal(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).to.have.length(1);
  const result = JSON.parse(lines[0]!) as Result;
  const { up, proof, rollback } = result;
  expect(result).to.deep.equal({
    users: 300,
    preview: { creates: up.resources, wroteNothing: true },
    up: { seconds: up.seconds, resources: up.resources },
    proof: { verdict: "proven", restoreSeconds: proof.restoreSeconds },
    moved: { consents: 283, preferences: 300 },
    again: { changes: 0 },
    rollback: { identical: true, seconds: rollback.seconds },
  } satisfies Result);
  expect(Object.keys(result)).to.deep.equal(["users", "preview", "up", "proof", "moved", "again", "rollback"]);
  expect(up.resources).to.be.at.least(23);
  expect(up.seconds).to.be.at.least(0.5);
  expect(rollback.seconds).to.be.at.least(0.5);
  expect(stderr).to.match(/the backup, before anything else: proven, restored in [\d.]+ s and compared\n/);
  // The engine's own lines, and the story around them.
  expect(stderr).to.contain("Previewing update (demo)");
  expect(stderr).to.match(/SessionCompletion completion created/);
  expect(stderr).to.match(/v6_to_v7 +completed +(\d+) +\1 /);
  expect(stderr).to.match(/user_preferences_v2 +yes +100 +300 +300/);
  expect(stderr).to.match(/public\.patient_consents +1\n +public\.user_preferences +1\n/);
  expect(stderr).to.contain("identical: yes, archive and ledger aside\n");
  expect(stderr).not.to.contain("✗");
}
