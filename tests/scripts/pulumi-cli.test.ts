import { expect } from "chai";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { findEngine } from "../../scripts/pulumi/engine";
import { hasLanguageHost } from "../../scripts/pulumi/paths";
import { pulumi } from "../../scripts/pulumi/run";
import { long } from "../support/long";
import { skip } from "../support/skip";
import { devConfig, tinyProject } from "../support/tiny-project";

describe("npm run pulumi, on the real engine", function () {
  this.timeout(180_000);
  const { folder, home, project, at, environment, start, run, make, remove } = tinyProject();
  /** Each verb previews first, unless it is told not to: half of what it takes. */
  const up = ["up", "--yes", "--skip-preview"];
  const locks = at("state", ".pulumi", "locks", "organization", "tiny", "dev");
  const stateFile = at("state", ".pulumi", "stacks", "tiny", "dev.json");
  before(make);
  after(remove);

  it("explains itself before pulumi does", async () => {
    const { code, stdout } = await run(["--help"]);
    expect(code).to.equal(0);
    expect(stdout).to.match(
      /^npm run pulumi -- ARGS runs the real pulumi CLI[\s\S]+Pulumi - Modern Infrastructure as Code/,
    );
    expect(existsSync(at())).to.equal(false);
  });

  it("makes state, passphrase and the dev stack on first use, in the ignored folder and nowhere else", async () => {
    const { code, stdout, stderr } = await run(["up", "--yes"]);
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/2 to create/);
    expect(stderr.split("\n").slice(0, 3)).to.satisfy(
      ([engine, login, stack]: string[]) =>
        /^using pulumi \d/.test(engine ?? "") &&
        login === "no Pulumi login found: state, plugins and passphrase of this clone are in .guardian" &&
        stack === "created the stack dev in .guardian/state",
    );
    expect(statSync(at("passphrase")).mode & 0o777).to.equal(0o600);
    expect(readFileSync(at("passphrase"), "utf8")).to.match(/^[\w-]{32}\n$/);
    expect(statSync(at("state")).mode & 0o777).to.equal(0o700);
    expect(existsSync(join(home, ".pulumi"))).to.equal(false);
    expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.equal(devConfig);
  });

  it("says the engine's stdout alone", async () => {
    const output = await run(["stack", "output", "--json"]);
    expect(output.stdout).to.equal('{\n  "word": "hello"\n}\n');
    expect(output.stderr).to.match(/^using pulumi [^\n]+\n$/);
  });

  it("16-1 destroys nothing that `state protect` protects, though the program does not", async () => {
    const state = (): string => readFileSync(stateFile, "utf8");
    const before = state();
    const urn = /"urn": ?"([^"]+::thing)"/.exec(before)?.[1] ?? "";
    expect((await run(["state", "protect", urn, "--yes"])).code).to.equal(0);
    const { code, stdout, stderr } = await run(["destroy", "--yes", "--skip-preview"]);
    expect(code, stdout + stderr).to.not.equal(0);
    expect(stdout + stderr).to.match(/cannot be deleted\s+because it is protected/);
    expect(state()).to.contain(`"${urn}"`);
    writeFileSync(stateFile, before);
  });

  long("leaves the salt beside a secret, and takes it away with it", async () => {
    expect((await run(["config", "set", "--secret", "tiny:token", "hidden"])).code).to.equal(0);
    expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.match(/secure: v1:.+\nencryptionsalt: v1:/);
    expect((await run(["config", "get", "tiny:token"])).stdout.trim()).to.equal("hidden");
    expect((await run(["config", "rm", "tiny:token"])).code).to.equal(0);
    expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.equal(devConfig);
  });

  it("shows an error of the program once, as the engine shows it, and tells the program how it is called", async () => {
    const known = await run(["preview"], { FAIL: "run" });
    expect(known.code).to.not.equal(0);
    expect(known.stdout).to.include(`error: what\n      to do: npm run pulumi -- -C '${project}'\n`);
    const thrown = await run(["preview"], { FAIL: "throw" });
    expect(thrown.code).to.not.equal(0);
    expect(thrown.stdout.match(/Error: thrown by the program/g)).to.have.lengthOf(1);
    expect(thrown.stdout).to.include("index.ts");
  });

  it("passes SIGINT on once, however often it arrives for one ^C", async () => {
    const { child, ended } = start(up, { WAIT: "1", RAN: join(folder, "waiting") });
    await until(() => existsSync(join(folder, "waiting")));
    child.kill("SIGINT");
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect(code).to.not.equal(0);
    expect(stdout).to.include("^C received; cancelling").and.include("update canceled");
    expect(readdirSync(locks)).to.deep.equal([]);
  });

  it("16-18 leaves no lock behind where ^C, SIGTERM or a hangup comes before the engine listens to it", async () => {
    // An engine that has its lock and no handler of signals yet, as the real one for its first instants.
    const bin = join(folder, "early");
    const lock = join(locks, "1.json");
    const engine = `#!/bin/sh
case "$*" in *version*) echo v3.250.0; exit 0;; *up*) ;; *) exit 0;; esac
mkdir -p "$(dirname "$LOCK")"; printf '{"pid": %s, "hostname": "%s"}' $$ "$(hostname)" > "$LOCK"
exec sleep 30
`;
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, "pulumi"), engine, { mode: 0o755 });
    // A hangup is ^C to the engine.
    for (const [signal, ended] of [
      ["SIGTERM", 143],
      ["SIGHUP", 130],
    ] as const) {
      const path = `${bin}:${process.env["PATH"] ?? ""}`;
      const early = start(["up", "--yes"], { PATH: path, LOCK: lock });
      await until(() => existsSync(lock));
      early.child.kill(signal);
      const { code, stderr } = await early.ended;
      expect(code, signal).to.equal(ended);
      expect(existsSync(lock), signal).to.equal(false);
      expect(stderr).to.contain("stopped; the lock of stack dev that this run had taken is given back");
    }
  });

  // Who owns a lock, dead or at work, is pulumi-stale.test.ts's.
  long("does not advise to cancel a run that is at work: it names its process", async () => {
    const { ended, child } = start(up, { WAIT: "1", RAN: join(folder, "at work") });
    await until(() => existsSync(join(folder, "at work")));
    const engine = childOf(child.pid ?? 0);
    const refused = await run(up);
    expect(refused.code).to.not.equal(0);
    expect(refused.stderr).to.include(
      `stack dev is locked by process ${engine}, which still runs: wait for it, or stop it (kill -INT ${engine})`,
    );
    expect(refused.stderr).to.not.include("npm run pulumi -- cancel");
    child.kill("SIGINT");
    expect((await ended).code).to.not.equal(0);
  });

  // What is said is pulumi-stale.test.ts's.
  long("names the command that clears what a killed run left pending, and the command clears it", async () => {
    const state = JSON.parse(readFileSync(stateFile, "utf8")) as Checkpoint;
    const urn = "urn:pulumi:dev::tiny::random:index:Thing::killed";
    state.checkpoint.latest["pending_operations"] = [
      { resource: { urn, custom: true, type: "random:index:Thing" }, type: "creating" },
    ];
    writeFileSync(stateFile, JSON.stringify(state));
    const clear = "clear them: npm run pulumi -- refresh --clear-pending-creates --yes --stack dev";
    const failed = await run(up, { FAIL: "run" });
    expect(failed.stderr)
      .to.include("1 pending operation of a killed run; first up until it succeeds")
      .and.include(clear);
    const worked = await run(up);
    expect(worked.code, worked.stdout).to.equal(0);
    expect(worked.stderr)
      .to.include(`1 pending operation of a killed run; the database's ledger knows`)
      .and.include(clear);
    expect((await run(["refresh", "--clear-pending-creates", "--yes", "--stack", "dev"])).code).to.equal(0);
    expect((await run(up)).stderr).to.not.include("pending operation");
  });

  /** A destroy that works; what the program noted meanwhile. */
  async function destroyed(note: string): Promise<{ ran: string; stderr: string }> {
    const path = join(folder, note);
    writeFileSync(path, "");
    const { code, stderr } = await run(["destroy", "--yes", "--skip-preview"], { RAN: path });
    expect(code, stderr).to.equal(0);
    return { ran: readFileSync(path, "utf8"), stderr };
  }

  long("names the way out after kill -9, and the way out works; destroy runs the program", async () => {
    const { ended, child } = start(up, { WAIT: "1", RAN: join(folder, "killed") });
    await until(() => existsSync(join(folder, "killed")));
    process.kill(childOf(child.pid ?? 0), "SIGKILL");
    expect((await ended).code).to.equal(137);
    const refused = await run(up);
    expect(refused.code).to.not.equal(0);
    const hint = "the run that locked stack dev is dead; the way out is: npm run pulumi -- cancel";
    expect(refused.stderr).to.include("the stack is currently locked").and.include(hint);
    expect((await run(["cancel", "--yes"])).code).to.equal(0);
    const { ran, stderr } = await destroyed("destroyed");
    expect(ran).to.match(/^ran /);
    expect(stderr).to.not.include(hint);
  });

  long("destroys nothing a second time: the program is not run, which would be made anew", async () => {
    expect((await destroyed("destroyed again")).ran).to.equal("");
    const { checkpoint } = JSON.parse(readFileSync(stateFile, "utf8")) as Checkpoint;
    expect(checkpoint.latest.resources ?? []).to.deep.equal([]);
  });

  it("refuses to go on without the passphrase of an existing state, and says so", async () => {
    const saved = readFileSync(at("passphrase"));
    rmSync(at("passphrase"));
    const { code, stderr } = await run(["preview"]);
    writeFileSync(at("passphrase"), saved, { mode: 0o600 });
    expect(code).to.equal(1);
    expect(stderr)
      .to.include("error: The passphrase of this clone's stacks is gone")
      .and.include("to do: bring the file back");
  });

  it("uses a login untouched", async () => {
    const state = join(folder, "own state");
    mkdirSync(state);
    rmSync(at(), { recursive: true });
    const login = { PULUMI_BACKEND_URL: pathToFileURL(state).href, PULUMI_CONFIG_PASSPHRASE: "mine" };
    const { code, stderr } = await run(["preview", "--non-interactive"], login);
    expect(code).to.not.equal(0);
    expect(stderr).to.include("no stack selected");
    const listed = await run(["stack", "ls"], { PULUMI_HOME: savedLogin(state), PULUMI_CONFIG_PASSPHRASE: "mine" });
    expect(listed.code, listed.stderr).to.equal(0);
    expect(existsSync(at())).to.equal(false);
  });

  it("says what import needs, as watch does, where the language host is missing", async function () {
    const engine = await findEngine({ log: { line: () => undefined } });
    if (hasLanguageHost(engine.path, process.env)) skip(this, "the Node language host is installed here");
    const { code, stderr } = await run(["import"]);
    expect(code).to.equal(1);
    expect(stderr).to.include("pulumi import needs Pulumi's Node language host").and.include("to do: install Pulumi");
  });

  // Every story is told by it.
  long("serves demo and tests: pulumi() with a program, a backend and a home of their own", async () => {
    const state = join(folder, "state of a test");
    mkdirSync(state);
    const env = environment({
      PULUMI_BACKEND_URL: pathToFileURL(state).href,
      PULUMI_HOME: join(folder, "home of a test"),
      PULUMI_CONFIG_PASSPHRASE: "",
    });
    const engine = (await findEngine({ log: { line: () => undefined } })).path;
    const options = { cwd: project, env, engine, stdio: "pipe" as const };
    expect((await pulumi(["stack", "init", "story"], options)).code).to.equal(0);
    const pieces: string[] = [];
    const up = await pulumi(["up", "--yes", "-s", "story"], {
      ...options,
      program: () => Promise.resolve({ answer: 42 }),
      onOutput: (text) => pieces.push(text),
    });
    expect(up.code, up.stdout + up.stderr).to.equal(0);
    expect(pieces.join("")).to.equal(up.stdout + up.stderr);
    expect((await pulumi(["stack", "output", "answer"], options)).stdout.trim()).to.equal("42");
    const stop = new AbortController();
    const waiting = pulumi(["up", "--yes", "--skip-preview"], {
      ...options,
      program: () => {
        stop.abort();
        return new Promise(() => undefined);
      },
      signal: stop.signal,
    });
    expect((await waiting).stdout).to.include("update canceled");
    rmSync(join(project, "Pulumi.story.yaml"));
  });

  /** What `pulumi login file://…` leaves in the user's home. */
  function savedLogin(state: string): string {
    const file = join(home, "pulumi", "credentials.json");
    mkdirSync(dirname(file));
    writeFileSync(file, JSON.stringify({ current: pathToFileURL(state).href }));
    return dirname(file);
  }
});

interface Checkpoint {
  checkpoint: { latest: Record<string, unknown> };
}

async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** The engine's process below the wrapper's. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}
