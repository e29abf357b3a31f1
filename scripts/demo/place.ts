import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { clone, environment, projectFile, variables, type Backend } from "../stack/backend";
import type { Login } from "../v6/database";

/** The demo's stack. */
export const stack = "demo";

/**
 * The demo's temporary folder: a Pulumi project that stands for the clone's, with state and home of its own,
 * and whatever the demo's programs put into their temporary folder.
 */
export class Place {
  readonly folder: string;
  readonly project: string;
  /** Event logs; they may hold secrets in clear and are removed once they are read. */
  readonly events: string;
  readonly passwordFile: string;
  private readonly backend: Backend;
  private readonly formerTmpdir = process.env["TMPDIR"];

  constructor() {
    this.folder = mkdtempSync(join(realpathSync(tmpdir()), "guardian-demo-"));
    // Another user, who runs PostgreSQL for root, passes through to its own folders and sees none of the others.
    chmodSync(this.folder, 0o711);
    const inside = (name: string): string => join(this.folder, name);
    [this.project, this.events, this.passwordFile] = [inside("project"), inside("events"), inside("password")];
    const [state, home, passphrase] = [inside("state"), inside("home"), randomBytes(24).toString("base64url")];
    this.backend = { state, home, passphrase };
    for (const folder of [this.project, home, state, this.events]) mkdirSync(folder, { mode: 0o700 });
    const temporary = inside("tmp");
    mkdirSync(temporary);
    chmodSync(temporary, 0o1777);
    process.env["TMPDIR"] = temporary;
    // pg takes PGSSLMODE, PGOPTIONS and others from there, and the user's have no business here.
    for (const name of Object.keys(process.env)) if (name.startsWith("PG")) Reflect.deleteProperty(process.env, name);
  }

  /** What points Pulumi and the plugin here, and nowhere else. */
  get variables(): Record<string, string> {
    return variables(this.backend);
  }

  get environment(): NodeJS.ProcessEnv {
    // The engine has --event-log only with its debugging commands (pkg/cmd/pulumi, hasDebugCommands).
    return environment(this.backend, { PULUMI_DEBUG_COMMANDS: "true" });
  }

  /**
   * Writes the project: the clone's Pulumi.yaml with the plugin's absolute path, and a stack that makes the same choices
   * as the dev stack, on the demo's database.
   */
  writeProject(login: Login): void {
    writeFileSync(this.passwordFile, login.password, { mode: 0o600 });
    const { plugins } = projectFile();
    // The variables say which backend it is.
    this.write("Pulumi.yaml", stringify({ ...read("Pulumi.yaml"), backend: undefined, plugins }));
    const dev = read("Pulumi.dev.yaml")["config"] as Record<string, unknown>;
    const { host, port, database, user } = login;
    const config = {
      "guardian:through": "deployment",
      "guardian:database": {
        host,
        port,
        database,
        user,
        sslmode: "disable",
        passwordFrom: `file:${this.passwordFile}`,
      },
      "guardian:legacyConsent": dev["guardian:legacyConsent"],
      "guardian:rollout": dev["guardian:rollout"],
      "guardian:backup": { directory: join(this.folder, "backups"), jobs: 2, maxAge: "1h" },
    };
    this.write(`Pulumi.${stack}.yaml`, stringify({ config }));
    // So that the CLI finds program and packages here too, with its own language host or without.
    this.write("package.json", JSON.stringify({ name: "guardian-demo", private: true, main: "index.js" }));
    this.write("index.js", `module.exports = require(${JSON.stringify(join(clone, "index.ts"))});\n`);
    symlinkSync(join(clone, "node_modules"), join(this.project, "node_modules"));
  }

  /** Nothing is made here any more: temporary files go where they went before. */
  leave(): void {
    if (this.formerTmpdir === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = this.formerTmpdir;
  }

  /** Leaves, and removes the folder. May be called twice. */
  remove(): void {
    this.leave();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private write(name: string, text: string): void {
    writeFileSync(join(this.project, name), text);
  }
}

function read(name: string): Record<string, unknown> {
  return parse(readFileSync(join(clone, name), "utf8")) as Record<string, unknown>;
}
