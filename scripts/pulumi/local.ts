import { randomBytes } from "node:crypto";
import { existsSync, linkSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { GuardianError } from "../../engine/base/errors";
import type { Log } from "./log";
import { stacksIn } from "./stacks";

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
        // The salt may then be missing from the stack's file: the engine takes it from the state (see withoutSalt).
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
  const there = stacksIn(local);
  if (there.length > 0) {
    throw new GuardianError("passphrase-missing", {
      what: `The passphrase of this clone's stacks is gone, and their state was encrypted with it: ${there.join(", ")}`,
      where: local.passphrase,
      todo: ["bring the file back", `remove ${local.state} as well, if the stacks' resources are gone anyway`],
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
