import { expect } from "chai";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { parse, UsageError } from "../../scripts/command/parse";
import { command } from "../../scripts/demo/arguments";
import type { Result } from "../../scripts/demo/story";
import { newestDumpable } from "../../scripts/postgres/newest";
import { findEngine } from "../../scripts/pulumi/engine";
import { long } from "../support/long";
import { withFolder } from "../support/folder";

const clone = join(__dirname, "..", "..");

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** The demo in a process of its own, whose temporary folder must be empty afterwards and named by no process. */
async function demo(
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
const hostile = {
  PGHOST: "db.example.invalid",
  PGSERVICE: "none",
  PGSSLMODE: "require",
  PGOPTIONS: "-c nonsense=1",
  PULUMI_BACKEND_URL: "https://example.invalid",
  PULUMI_ACCESS_TOKEN: "none",
  PULUMI_STACK: "none",
};

/** What a demo of 300 users with --json says, to its rollback. */
function tellsAll({ code, stdout, stderr }: Ended): void {
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

describe("npm run demo", function () {
  this.timeout(600_000);

  long(
    "migrates, finds nothing to do, rolls back, purges, and is as before, whatever the user's own settings are",
    async () => {
      const { left, processes, ...ended } = await demo(["--users", "300", "--json"], hostile);
      tellsAll(ended);
      expect(ended.stderr).to.match(/identical: yes, archive and ledger aside\n[^]*identical: yes, nothing aside\n/);
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    },
  );

  const moments: [NodeJS.Signals, number, string, string, RegExp][] = [
    ["SIGINT", 130, "300", "in the middle of up", /becomes v7[^]*Ledger ledger created/],
    ["SIGTERM", 143, "30000", "while v6 is loaded", /listens on/],
  ];
  for (const [name, exit, users, when, mark] of moments) {
    // That it stops everything is seen where the engine fails.
    long(`stops everything on ${name} ${when}`, async () => {
      let sent = false;
      const { code, stdout, stderr, left, processes } = await demo(["--users", users, "--json"], {}, (said, child) => {
        if (sent || !mark.test(said)) return;
        sent = true;
        child.kill(name);
      });
      expect(code, stderr).to.equal(exit);
      expect(stderr).to.contain(`stopped by ${name}; nothing of the demo is left`);
      expect(JSON.parse(stdout)).to.deep.equal({ error: { what: `stopped by ${name}; nothing of the demo is left` } });
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    });
  }

  it("stops everything and exits 1 when the engine fails", async () => {
    // Everything the demo needs is on this PATH but node, which the engine needs to start the plugin.
    return withFolder(async (bin) => {
      const engine = (await findEngine({ log: { line: () => undefined } })).path;
      const { pgDump } = await newestDumpable();
      for (const program of [engine, pgDump.path]) symlinkSync(program, join(bin, program.split("/").at(-1)!));
      for (const program of ["id", "sh", "dirname"]) {
        symlinkSync(spawnSync("which", [program], { encoding: "utf8" }).stdout.trim(), join(bin, program));
      }
      const { code, stdout, stderr, left, processes } = await demo(["--users", "10", "--json"], { PATH: bin });
      expect(code, stderr).to.equal(1);
      expect(stderr).to.contain("pulumi preview failed with exit code");
      const { error } = JSON.parse(stdout) as { error: { what: string } };
      expect(error.what).to.contain("pulumi preview failed with exit code");
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    });
  });

  long(
    "with --keep, after all it tells, leaves a server and a stack that can be used, and says how to stop them",
    async () => {
      const { folder, left, ...ended } = await demo(["--users", "300", "--json", "--keep"], hostile);
      try {
        tellsAll(ended);
        expect(left).to.have.length(1);
        const place = join(folder, left[0]!);
        const [, port] = /PostgreSQL on 127\.0\.0\.1:(\d+)/.exec(ended.stderr)!;
        const stop = /stop and remove +sh '(.*)'$/m.exec(ended.stderr)![1]!;
        expect(stop).to.equal(join(place, "stop"));
        const login = { host: "127.0.0.1", port: Number(port), database: "guardian", user: "guardian_migrator" };
        const client = new Client({ ...login, password: readFileSync(join(place, "password"), "utf8") });
        await client.connect();
        const { rows } = await client.query(
          "SELECT rows::int FROM guardian_migration.archived WHERE original = 'public.patient_consents'",
        );
        await client.end();
        expect(rows).to.deep.equal([{ rows: 1 }]);
        // What the file of variables says is enough for the CLI.
        const shell = `. "$0/env" && exec node --require tsx/cjs scripts/pulumi/cli.ts -C "$DEMO" stack ls --json`;
        const listed = spawnSync("sh", ["-c", shell, place], { cwd: clone, encoding: "utf8" });
        expect(JSON.parse(listed.stdout), listed.stderr)
          .to.deep.include.members([])
          .with.nested.property("[0].name", "demo");
        expect(spawnSync("sh", [stop]).status).to.equal(0);
        expect(existsSync(place)).to.equal(false);
        const gone = await new Client({ ...login, password: "" })
          .connect()
          .catch((err: unknown) => (err as { code?: string }).code);
        expect(gone).to.equal("ECONNREFUSED");
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  // Its exit code is every command's: command.test.ts.
  it("refuses wrong use", () => {
    expect(parse(command, [])).to.deep.equal({ users: 2000, keep: false, json: false, help: false });
    expect(parse(command, ["--users", "7", "--keep", "--json"])).to.include({ users: 7, keep: true, json: true });
    for (const args of [["--usres", "3"], ["--users", "0"], ["--users", "many"], ["--users"], ["now"], ["--json=1"]]) {
      expect(() => parse(command, args), args.join(" ")).to.throw(UsageError, /npm run demo -- --help/);
    }
  });
});
