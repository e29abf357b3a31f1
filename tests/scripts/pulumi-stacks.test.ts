import { expect } from "chai";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { GuardianError } from "../../engine/base/errors";
import { findEngine } from "../../scripts/pulumi/engine";
import { localBackend } from "../../scripts/pulumi/local";
import { pulumi } from "../../scripts/pulumi/run";
import { ensureStack } from "../../scripts/pulumi/stacks";
import { withFolder } from "../support/folder";
import { long } from "../support/long";
import { devConfig, tinyProject } from "../support/tiny-project";

const root = join(__dirname, "..", "..");

interface Clone {
  folder: string;
  /** What the engine was asked, or the refusal. */
  ensure(): Promise<string | GuardianError>;
}

/** Runs a test in a clone whose engine notes its arguments, and does nothing else. */
function withClone(
  { stacks, selected, env }: { stacks: readonly string[]; selected?: string | undefined; env?: NodeJS.ProcessEnv },
  test: (clone: Clone) => Promise<void>,
): Promise<void> {
  return withFolder((folder) => test(clone(folder, stacks, selected, env)));
}

function clone(folder: string, stacks: readonly string[], selected?: string, env: NodeJS.ProcessEnv = {}): Clone {
  const local = localBackend(folder, { PATH: process.env["PATH"], ...env });
  writeFileSync(join(folder, "Pulumi.yaml"), "name: tiny\n");
  mkdirSync(join(local.state, ".pulumi", "stacks", "tiny"), { recursive: true });
  for (const name of stacks) writeFileSync(join(local.state, ".pulumi", "stacks", "tiny", name), "{}");
  const key = createHash("sha1").update(join(local.project, "Pulumi.yaml")).digest("hex");
  mkdirSync(join(local.home, "workspaces"), { recursive: true });
  if (selected !== undefined)
    writeFileSync(join(local.home, "workspaces", `tiny-${key}-workspace.json`), JSON.stringify({ stack: selected }));
  const engine = join(folder, "engine");
  writeFileSync(engine, `#!/bin/sh\necho "$1 $2 $3" >> '${folder}/asked'\n`, { mode: 0o755 });
  const ensure = async (): Promise<string | GuardianError> => {
    try {
      await ensureStack(local, engine, { line: () => undefined });
    } catch (err) {
      if (err instanceof GuardianError) return err;
      throw err;
    } finally {
      if (!existsSync(join(folder, "asked"))) writeFileSync(join(folder, "asked"), "");
    }
    return readFileSync(join(folder, "asked"), "utf8");
  };
  return { ensure, folder };
}

/** @param said what the engine was asked, or what the refusal says, before anything was made */
function expectSaid(found: string | GuardianError, said: string | RegExp, folder: string): void {
  if (typeof said === "string") return void expect(found).to.equal(said);
  expect(found).to.be.instanceOf(GuardianError).and.have.property("what").match(said);
  expect(readFileSync(join(folder, "asked"), "utf8"), "nothing was made").to.equal("");
}

describe("which stack npm run pulumi works on", () => {
  const made = "stack init dev\n";
  const there: [what: string, stacks: string[], selected: string | undefined, said: string | RegExp][] = [
    ["dev is made where nothing is and nothing was", [], undefined, made],
    ["dev is made anew where dev alone was", ["dev.json.bak", "dev.json.attrs"], undefined, made],
    ["dev is taken where it is selected", ["dev.json"], "dev", ""],
    ["prod is taken where it is selected", ["prod.json", "prod.json.bak"], "organization/tiny/prod", ""],
    ["compressed states are stacks too", ["prod.json.gz"], "prod", ""],
    ["none is selected: stops, lists them", ["prod.json", "eu.prod.json"], undefined, /there are: eu\.prod, prod/],
    ["what is selected is gone: stops, lists them", ["staging.json"], "prod", /there are: staging/],
    ["dev is there and not selected: stops", ["dev.json", "dev.json.attrs"], undefined, /there are: dev/],
    ["prod was removed: dev is not made in its place", ["prod.json.bak"], undefined, /\(prod was\)/],
  ];
  for (const [what, stacks, selected, said] of there) {
    it(`16-3: ${what}`, () =>
      withClone({ stacks, selected }, async ({ ensure, folder }) => {
        // Made long ago: nobody is about to select it.
        const old = join(folder, ".guardian", "state", ".pulumi", "stacks", "tiny", "dev.json");
        if (existsSync(old)) utimesSync(old, 0, 0);
        expectSaid(await ensure(), said, folder);
      }));
  }
});

describe("which stack npm run pulumi works on, where the project has no dev", () => {
  it("18-1 makes none: it stops, and names those that the project has files of", () =>
    withClone({ stacks: [] }, async ({ ensure, folder }) => {
      for (const name of ["staging", "prod"]) writeFileSync(join(folder, `Pulumi.${name}.yaml`), "");
      const found = await ensure();
      expect(found).to.be.instanceOf(GuardianError);
      expect((found as GuardianError).message)
        .to.contain("its files are of prod, staging")
        .and.contain("stack init prod");
      writeFileSync(join(folder, "Pulumi.dev.yaml"), "");
      expect(await ensure()).to.equal("stack init dev\n");
    }));
});

describe("the stack that PULUMI_STACK names", () => {
  const there: [what: string, stacks: string[], named: string, said: string | RegExp][] = [
    ["is taken, with its organization too", ["prod.json"], "organization/tiny/prod", ""],
    ["is dev, which is made where nothing is", [], "dev", "stack init dev\n"],
    [
      "is not made, nor is dev in its place",
      [],
      "prod",
      /^There is no stack prod here, which PULUMI_STACK names; there is none/,
    ],
    ["is not there: stops, lists the others", ["staging.json"], "prod", /there are: staging$/],
  ];
  for (const [what, stacks, named, said] of there) {
    it(`16-3: ${what}`, () =>
      withClone({ stacks, env: { PULUMI_STACK: named } }, async ({ ensure, folder }) =>
        expectSaid(await ensure(), said, folder),
      ));
  }
});

/** README's commands that make a stack, as arguments. */
function readmeCommands(): string[][] {
  const block = /Staging and prod begin so[\s\S]+?```sh\n([\s\S]+?)```/.exec(
    readFileSync(join(root, "README.md"), "utf8"),
  );
  const lines = (block?.[1] ?? "").split("\n").filter((line) => line.startsWith("npm run pulumi -- "));
  return lines.map((line) =>
    [
      ...line
        .slice("npm run pulumi -- ".length)
        .replace(/\s+#.*/, "")
        .matchAll(/'([^']*)'|\S+/g),
    ].map(([word, quoted]) => quoted ?? word),
  );
}

describe("a stack of one's own, on the real engine", function () {
  this.timeout(180_000);
  const { folder, project, at, environment, run, make, remove } = tinyProject();
  const file = join(project, "Pulumi.prod.yaml");
  const tracked = readFileSync(join(root, "Pulumi.prod.yaml"), "utf8");
  before(make);
  beforeEach(() => writeFileSync(file, tracked));
  after(remove);

  it("16-3: README's commands work with the wrapper, and are about that stack alone", async () => {
    const commands = readmeCommands();
    expect(commands[0]).to.deep.equal(["stack", "init", "prod"]);
    expect(commands).to.have.lengthOf(6);
    // The others differ in nothing that the wrapper looks at; the next test runs them all.
    for (const args of [commands[0]!, commands[2]!, commands[3]!]) {
      const { code, stdout, stderr } = await run(args);
      expect(code, `${args.join(" ")}: ${stdout}${stderr}`).to.equal(0);
      expect(stderr).not.to.contain("has no file");
    }
    const text = readFileSync(file, "utf8");
    expect(text).to.contain("passwordFrom: env:GUARDIAN_DB_PASSWORD").and.contain("mode: pending");
    expect(text).to.not.contain("encryptionsalt");
    expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.equal(devConfig);
    expect(existsSync(at("state", ".pulumi", "stacks", "tiny", "dev.json"))).to.equal(false);
  });

  long(
    "16-3: README's commands work with the CLI itself; the salt that it leaves is the one that README speaks of",
    async () => {
      const state = join(folder, "shared");
      mkdirSync(state);
      const env = environment({
        PULUMI_BACKEND_URL: pathToFileURL(state).href,
        PULUMI_HOME: join(folder, "its home"),
        PULUMI_CONFIG_PASSPHRASE: "the team's",
      });
      const engine = (await findEngine({ log: { line: () => undefined } })).path;
      for (const args of readmeCommands()) {
        const { code, stderr } = await pulumi([...args, "--non-interactive"], {
          cwd: project,
          env,
          engine,
          stdio: "pipe",
        });
        expect(code, `${args.join(" ")}: ${stderr}`).to.equal(0);
      }
      expect(readFileSync(file, "utf8"))
        .to.contain("host: db.example.org")
        .and.contain("passwordFrom: env:GUARDIAN_DB_PASSWORD")
        .and.contain("statement: why, in one sentence")
        .and.match(/^encryptionsalt: v1:/m);
      // A second clone, which has the committed file and another passphrase.
      const other = { PULUMI_BACKEND_URL: pathToFileURL(state).href, PULUMI_CONFIG_PASSPHRASE: "mine" };
      const refused = await run(["config", "set", "--secret", "tiny:token", "x", "--stack", "prod"], other);
      expect(refused.code).to.not.equal(0);
      expect(refused.stderr)
        .to.contain("the passphrase of Pulumi.prod.yaml is missing here")
        .and.contain("the one of PULUMI_CONFIG_PASSPHRASE does not open it")
        .and.contain("PULUMI_CONFIG_PASSPHRASE_FILE=PATH");
    },
  );

  it("makes a stack that has no file, and says what follows and which name is near", async () => {
    const { code, stderr } = await run(["stack", "init", "prd"]);
    expect(code, stderr).to.equal(0);
    expect(stderr)
      .to.contain("the stack prd has no file Pulumi.prd.yaml, as dev, prod have: every key has its default")
      .and.match(/if prod was meant: npm run pulumi -- -C '.*' stack rm prd, then .* stack init prod\n/);
  });

  // Without the passphrase: pulumi-cli.test.ts.
  long("16-3: a second clone is told which passphrase is missing and where it goes, and goes on with it", async () => {
    rmSync(at(), { recursive: true, force: true });
    expect((await run(["stack", "init", "prod"])).code).to.equal(0);
    expect((await run(["config", "set", "--secret", "tiny:token", "hidden"])).code).to.equal(0);
    const committed = readFileSync(file, "utf8");
    expect(committed).to.match(/secure: /);
    const first = join(folder, "first clone");
    renameSync(at(), first);
    const refused = await run(["stack", "init", "prod"]);
    expect(refused.code).to.not.equal(0);
    expect(refused.stderr)
      .to.contain("incorrect passphrase")
      .and.contain("the passphrase of Pulumi.prod.yaml is missing here")
      .and.contain("a clone without a Pulumi login keeps it in .guardian/passphrase");
    expect(readFileSync(file, "utf8")).to.equal(committed);
    const handed = join(folder, "handed on");
    cpSync(join(first, "passphrase"), handed);
    const named = { PULUMI_CONFIG_PASSPHRASE_FILE: handed };
    const made = await run(["stack", "init", "prod"], named);
    expect(made.code, made.stderr).to.equal(0);
    expect((await run(["config", "get", "tiny:token"], named)).stdout.trim()).to.equal("hidden");
  });
});
