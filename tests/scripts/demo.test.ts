import { expect } from "chai";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { parse, UsageError } from "../../scripts/demo/arguments";
import { readOperation, type Operation } from "../../scripts/demo/operation";
import { Output } from "../../scripts/demo/output";
import { tell, type Parts, type Result } from "../../scripts/demo/story";
import { table } from "../../scripts/demo/table";
import { newestDumpable } from "../../scripts/postgres/newest";
import { findEngine } from "../../scripts/pulumi/engine";

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

describe("npm run demo", function () {
  this.timeout(180_000);

  it("migrates, finds nothing to do, rolls back, and is as before, whatever the user's own settings are", async () => {
    const hostile = {
      PGHOST: "db.example.invalid",
      PGSERVICE: "none",
      PGSSLMODE: "require",
      PGOPTIONS: "-c nonsense=1",
      PULUMI_BACKEND_URL: "https://example.invalid",
      PULUMI_ACCESS_TOKEN: "none",
      PULUMI_STACK: "none",
    };
    const { code, stdout, stderr, left, processes } = await demo(["--users", "300", "--json"], hostile);
    expect(code, stderr).to.equal(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).to.have.length(1);
    const result = JSON.parse(lines[0]!) as Result;
    const { up, rollback } = result;
    expect(result).to.deep.equal({
      users: 300,
      preview: { creates: up.resources, wroteNothing: true },
      up: { seconds: up.seconds, resources: up.resources },
      moved: { consents: 284, preferences: 300 },
      again: { changes: 0 },
      rollback: { identical: true, seconds: rollback.seconds },
    } satisfies Result);
    expect(Object.keys(result)).to.deep.equal(["users", "preview", "up", "moved", "again", "rollback"]);
    expect(up.resources).to.be.at.least(23);
    expect(up.seconds).to.be.within(0.5, 120);
    expect(rollback.seconds).to.be.within(0.5, 120);
    // The engine's own lines, and the story around them.
    expect(stderr).to.contain("Previewing update (demo)");
    expect(stderr).to.match(/SessionCompletion completion created/);
    expect(stderr).to.match(/v6_to_v7 +completed +(\d+) +\1 /);
    expect(stderr).to.match(/user_preferences_v2 +yes +100 +300 +300/);
    expect(stderr).to.match(/public\.patient_consents +1\n +public\.user_preferences +1\n/);
    expect(stderr).to.match(/identical: yes, archive and ledger aside\n[^]*identical: yes, nothing aside\n/);
    expect(stderr).not.to.contain("✗");
    expect(left).to.deep.equal([]);
    expect(processes).to.deep.equal([]);
  });

  const moments: [NodeJS.Signals, number, string, RegExp][] = [
    ["SIGINT", 130, "in the middle of up", /becomes v7[^]*Ledger ledger created/],
    ["SIGTERM", 143, "while v6 is loaded", /listens on/],
  ];
  for (const [name, exit, when, mark] of moments) {
    it(`stops everything on ${name} ${when}`, async () => {
      let sent = false;
      const { code, stdout, stderr, left, processes } = await demo(
        ["--users", "30000", "--json"],
        {},
        (said, child) => {
          if (sent || !mark.test(said)) return;
          sent = true;
          child.kill(name);
        },
      );
      expect(code, stderr).to.equal(exit);
      expect(stderr).to.contain(`stopped by ${name}; nothing of the demo is left`);
      expect(stdout).to.equal("");
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    });
  }

  it("stops everything and exits 1 when the engine fails", async () => {
    // Everything the demo needs is on this PATH but node, which the engine needs to start the plugin.
    const bin = mkdtempSync(join(tmpdir(), "path without node "));
    try {
      const engine = (await findEngine({ log: { line: () => undefined } })).path;
      const { pgDump } = await newestDumpable();
      for (const program of [engine, pgDump.path]) symlinkSync(program, join(bin, program.split("/").at(-1)!));
      for (const program of ["id", "sh", "dirname"]) {
        symlinkSync(spawnSync("which", [program], { encoding: "utf8" }).stdout.trim(), join(bin, program));
      }
      const { code, stdout, stderr, left, processes } = await demo(["--users", "10", "--json"], { PATH: bin });
      expect(code, stderr).to.equal(1);
      expect(stderr).to.contain("pulumi preview failed with exit code");
      expect(stdout).to.equal("");
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    } finally {
      rmSync(bin, { recursive: true, force: true });
    }
  });

  it("with --keep leaves a server and a stack that can be used, and says how to stop them", async () => {
    const { code, stdout, stderr, folder, left } = await demo(["--users", "20", "--keep"]);
    try {
      expect(code, stderr).to.equal(0);
      expect(left).to.have.length(1);
      const place = join(folder, left[0]!);
      const [, port] = /PostgreSQL on 127\.0\.0\.1:(\d+)/.exec(stdout)!;
      const stop = /stop and remove +sh '(.*)'$/m.exec(stdout)![1]!;
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
  });

  it("refuses wrong use with exit code 2", async () => {
    expect(parse([])).to.deep.equal({ users: 2000, keep: false, json: false, help: false });
    expect(parse(["--users", "7", "--keep", "--json"])).to.include({ users: 7, keep: true, json: true });
    for (const args of [["--usres", "3"], ["--users", "0"], ["--users", "many"], ["--users"], ["now"], ["--json=1"]]) {
      expect(() => parse(args), args.join(" ")).to.throw(UsageError, /npm run demo -- --help/);
    }
    const { code, stderr, stdout } = await demo(["--frobnicate"]);
    expect({ code, stdout }).to.deep.equal({ code: 2, stdout: "" });
    expect(stderr).to.match(/^Unknown option '--frobnicate'\n/);
  });
});

describe("the demo's counting", () => {
  it("counts custom resources, providers and components aside", () => {
    const folder = mkdtempSync(join(tmpdir(), "events "));
    try {
      mkdirSync(join(folder, "x"));
      const event = (kind: string, op: string, type: string, custom: boolean, side = "new"): string =>
        JSON.stringify({ [kind]: { metadata: { op, type, [side]: { custom } } } });
      const log = join(folder, "events.json");
      const mine = "guardian-migration:index:SqlModule";
      writeFileSync(
        log,
        [
          event("resourcePreEvent", "create", mine, true),
          event("resourcePreEvent", "create", mine, true),
          event("resourcePreEvent", "create", "pulumi:providers:guardian-migration", true),
          event("resourcePreEvent", "create", "guardian:stage:Data", false),
          event("resOutputsEvent", "create", mine, true),
          event("resOutputsEvent", "update", mine, true),
          event("resOutputsEvent", "same", mine, true),
          event("resOutputsEvent", "create-replacement", mine, true),
          event("resOutputsEvent", "replace", mine, true),
          event("resOutputsEvent", "delete-replaced", mine, true, "old"),
          event("resOutputsEvent", "delete", mine, true, "old"),
          event("resOutputsEvent", "delete", "pulumi:pulumi:Stack", false, "old"),
          JSON.stringify({ cancelEvent: {} }),
          "",
        ].join("\n"),
      );
      expect(readOperation(log, true, 1.5)).to.include({ seconds: 1.5, creates: 2, cancelled: false });
      expect(readOperation(log, false, 2)).to.deep.equal({
        seconds: 2,
        creates: 1,
        changes: 4,
        resources: 4,
        cancelled: false,
      } satisfies Operation);
      writeFileSync(log, JSON.stringify({ stdoutEvent: { message: "^C received; cancelling." } }));
      expect(readOperation(log, false, 2).cancelled).to.equal(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("lays out small tables", () => {
    const rows = [
      { name: "a", rows: 1234, on: true, at: new Date("2000-01-02T03:04:05Z"), none: null },
      { name: "longer", rows: 5, on: false, at: new Date("2000-01-02T03:04:05Z"), none: null },
    ];
    expect(table(rows)).to.deep.equal([
      "  name     rows  on   at                   none",
      "  ──────  ─────  ───  ───────────────────  ────",
      "  a       1,234  yes  2000-01-02 03:04:05     –",
      "  longer      5  no   2000-01-02 03:04:05     –",
    ]);
    expect(table([])).to.deep.equal(["  (no rows)"]);
  });
});

/** What the stubs of a story answer; each field breaks one thing. */
interface Broken {
  preview?: string[];
  consents?: number;
  preferences?: number;
  again?: number;
  application?: string[];
  after?: Fingerprint;
  afterPurge?: Fingerprint;
}

describe("the demo's guards", () => {
  const print = (rows: string): Fingerprint => ({
    facts: { "table rows": { "public.documents": rows }, TRIGGER: {} },
    cascadeKeys: [],
  });

  /** The story with an engine and a database that do nothing and answer what a sound run answers, but for `broken`. */
  async function story(broken: Broken): Promise<{ result: Result; faults: string[] }> {
    const operation = { seconds: 1, creates: 3, changes: 3, resources: 3, cancelled: false };
    const moved = { users: 9, settled: 8, consents: broken.consents ?? 8, preferences: broken.preferences ?? 9 };
    let ups = 0;
    let scripts = 0;
    const prints = [print("3 rows"), broken.after ?? print("3 rows"), broken.afterPurge ?? print("3 rows")];
    const database = {
      // What each query would answer matters for the counts only; as to the rest, a table may be empty.
      with: (query: { name: string }) => Promise.resolve(query.name === "countMoved" ? moved : []),
      untouched: async (work: () => Promise<unknown>) => ({ value: await work(), differences: broken.preview ?? [] }),
      application: () => Promise.resolve({ steps: 2, failures: ++scripts === 2 ? (broken.application ?? []) : [] }),
      fingerprint: () => Promise.resolve(prints.shift()),
    };
    const engine = {
      set: () => Promise.resolve(),
      operation: (verb: string) =>
        Promise.resolve(verb === "up" && ++ups === 2 ? { ...operation, changes: broken.again ?? 0 } : operation),
    };
    const out = new Output(true);
    Object.assign(out, { stream: { isTTY: false, write: () => true } });
    return tell({ database, engine, out, purge: () => Promise.resolve() } as unknown as Parts);
  }

  it("find nothing in a sound run", async () => {
    const { result, faults } = await story({});
    expect(faults).to.deep.equal([]);
    expect(result).to.deep.equal({
      users: 9,
      preview: { creates: 3, wroteNothing: true },
      up: { seconds: 1, resources: 3 },
      moved: { consents: 8, preferences: 9 },
      again: { changes: 0 },
      rollback: { identical: true, seconds: 1 },
    } satisfies Result);
  });

  const cases: [string, Broken, string, (result: Result) => unknown, unknown][] = [
    [
      "a preview that wrote",
      { preview: ["role x: added"] },
      "the preview wrote: role x: added",
      (r) => r.preview.wroteNothing,
      false,
    ],
    ["a consent too few", { consents: 7 }, "7 consents for 8 users older than a day", (r) => r.moved.consents, 7],
    ["preferences too many", { preferences: 10 }, "10 preferences for 9 users", (r) => r.moved.preferences, 10],
    ["a second up with changes", { again: 2 }, "a second up changed 2 resources", (r) => r.again.changes, 2],
    [
      "a v6 that does not work beside v7",
      { application: ["v6 cannot log in: no"] },
      "beside v7: v6 cannot log in: no",
      (r) => r.rollback.identical,
      false,
    ],
    [
      "a row lost",
      { after: print("2 rows") },
      "not as it was: table rows public.documents: changed from «3 rows» to «2 rows»",
      (r) => r.rollback.identical,
      false,
    ],
    [
      "something that the purge left",
      { afterPurge: print("4 rows") },
      "not as it was: table rows public.documents: changed from «3 rows» to «4 rows»",
      (r) => r.rollback.identical,
      false,
    ],
  ];
  for (const [what, broken, fault, read, value] of cases) {
    it(`catch ${what}`, async () => {
      const { result, faults } = await story(broken);
      expect(faults.map((text) => text.replaceAll(/[«»]/g, ""))).to.deep.equal([fault.replaceAll(/[«»]/g, "")]);
      expect(read(result)).to.equal(value);
    });
  }
});
