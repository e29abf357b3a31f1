import { randomBytes, createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import { GuardianError } from "../../engine/base/errors";
import type { Log } from "./log";
import { pulumi, type PulumiResult } from "./run";

/** The stack of this clone's own: its configuration is Pulumi.dev.yaml. */
const stack = "dev";

/** Where a clone without a Pulumi login keeps what Pulumi needs: everything is in the ignored folder .guardian. */
export interface LocalBackend {
  project: string;
  state: string;
  home: string;
  passphrase: string;
  /** True if the passphrase is the clone's own and not the user's. */
  ownPassphrase: boolean;
  /** The environment that points the engine there. */
  env: NodeJS.ProcessEnv;
}

/** The places for this project; nothing is made yet. PULUMI_HOME and a passphrase that the user set stay his. */
export function localBackend(project: string, env: NodeJS.ProcessEnv): LocalBackend {
  const folder = join(realpathSync(project), ".guardian");
  const state = join(folder, "state");
  const home = env["PULUMI_HOME"] ?? join(folder, "pulumi-home");
  const passphrase = join(folder, "passphrase");
  const ownPassphrase = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"].every((name) => !(name in env));
  return {
    project: realpathSync(project),
    state,
    home,
    passphrase,
    ownPassphrase,
    env: {
      ...env,
      PULUMI_HOME: home,
      PULUMI_BACKEND_URL: pathToFileURL(state).href,
      ...(ownPassphrase && {
        PULUMI_CONFIG_PASSPHRASE_FILE: passphrase,
        // The salt may then be missing from Pulumi.dev.yaml: the engine takes it from the state (see withoutSalt).
        PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER: "true",
      }),
    },
  };
}

/** Makes folders and passphrase on first use, 0700 and 0600, and says so. */
export function prepare(local: LocalBackend, log: Log): void {
  const first = !existsSync(local.state);
  for (const folder of [local.state, local.home]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (local.ownPassphrase && !existsSync(local.passphrase)) makePassphrase(local);
  if (first) log.line(`no Pulumi login found: state, plugins and passphrase of this clone are in .guardian`);
}

/**
 * Written beside and then linked, so that of two first runs at once one wins and nobody reads half of it.
 * @throws GuardianError if a state is there whose passphrase is gone: a new one could not read its secrets
 */
function makePassphrase(local: LocalBackend): void {
  if (existsSync(stateFile(local))) {
    throw new GuardianError("passphrase-missing", {
      what: "The passphrase of this clone's dev stack is gone, and its state was encrypted with it",
      where: local.passphrase,
      todo: ["bring the file back", `remove ${local.state} as well, if the stack's resources are gone anyway`],
    });
  }
  const scratch = `${local.passphrase}.${process.pid}`;
  writeFileSync(scratch, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
  try {
    linkSync(scratch, local.passphrase);
  } catch (err) {
    if (!(err instanceof Error && "code" in err && err.code === "EEXIST")) throw err;
  } finally {
    rmSync(scratch, { force: true });
  }
}

function stateFile(local: LocalBackend): string {
  return join(local.state, ".pulumi", "stacks", projectName(local.project), `${stack}.json`);
}

/** The name in Pulumi.yaml; a file without one is the CLI's to complain about. */
function projectName(project: string): string {
  try {
    const file = parse(readFileSync(join(project, "Pulumi.yaml"), "utf8")) as { name?: string } | null;
    return file?.name ?? "";
  } catch {
    return "";
  }
}

/** Creates the dev stack on first use, or selects it again after the clone was moved. */
export async function ensureStack(local: LocalBackend, engine: string, log: Log): Promise<void> {
  const name = projectName(local.project);
  if (!name) return;
  const there = existsSync(stateFile(local));
  // The engine keys the selection by project and SHA-1 of the project file's path (sdk/go/common/workspace).
  const key = createHash("sha1").update(join(local.project, "Pulumi.yaml")).digest("hex");
  if (there && existsSync(join(local.home, "workspaces", `${name}-${key}-workspace.json`))) return;
  const run = (verb: string): Promise<PulumiResult> =>
    pulumi(["stack", verb, stack, "--non-interactive", "--color=never"], {
      cwd: local.project,
      env: local.env,
      engine,
      stdio: "pipe",
    });
  const first = await run(there ? "select" : "init");
  // Of two first runs at once one creates the stack, and the other finds it there.
  const result = first.code !== 0 && !there && existsSync(stateFile(local)) ? await run("select") : first;
  if (result.code !== 0) {
    throw new GuardianError("command-failed", {
      what: `The stack ${stack} could not be ${there ? "selected" : "created"}: ${result.stderr.trim()}`,
      where: local.state,
      todo: "mend what the message names, or log in to a backend of your own: npm run pulumi -- login",
    });
  }
  log.line(`${first === result && !there ? "created" : "selected"} the stack ${stack} in .guardian/state`);
}

/**
 * Takes the salt that the engine wrote out of Pulumi.dev.yaml again, as long as there is no secret in the file. It
 * belongs to this clone's passphrase only: committed, it would lock everybody else out, and a later `pulumi login`
 * would ask for a passphrase. With a secret in the file it stays, since it is needed to read it.
 */
export function withoutSalt(local: LocalBackend): void {
  const file = join(local.project, `Pulumi.${stack}.yaml`);
  if (!local.ownPassphrase || !existsSync(file)) return;
  const text = readFileSync(file, "utf8");
  if (!/^encryptionsalt:/m.test(text) || /^\s+secure:/m.test(text)) return;
  const scratch = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(scratch, text.replace(/^encryptionsalt:.*\n?/m, ""));
    renameSync(scratch, file);
  } finally {
    rmSync(scratch, { force: true });
  }
}
