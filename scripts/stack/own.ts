import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { GuardianError } from "../../engine/base/errors";
import { programOf } from "../pulumi/program";
import { pulumi, type PulumiOptions, type PulumiResult } from "../pulumi/run";
import type { Login } from "../v6/database";
import { clone, environment, projectFile } from "./backend";

/** Where the stack is; the signal is ^C to a running engine. */
export interface Place extends Pick<PulumiOptions, "signal" | "onStart"> {
  /** The stack's name. */
  name: string;
  /** The project's folder. */
  folder: string;
  /** Path of the pulumi CLI. */
  engine: string;
  env: NodeJS.ProcessEnv;
}

/** A place that has to be made, and what is to be migrated from there. */
export interface Wanted extends Omit<Place, "env"> {
  login: Login;
  /** PULUMI_HOME; absent: in the folder. */
  home?: string;
  /** Folder of the plugin, where it is not the product's own. */
  plugin?: string;
  /** Configuration on top of the database, the legacy consents' and the backups': `guardian:key` to value. */
  config?: Record<string, unknown>;
  env?: Record<string, string>;
}

/** The product's program as a stack with a file backend of its own, run by the real CLI and served inline. */
export class OwnStack {
  constructor(private readonly place: Place) {}

  /** Makes project and stack; nothing is deployed yet. @throws GuardianError with the engine's own words */
  static async open({ login, home, plugin, config, env, ...place }: Wanted): Promise<OwnStack> {
    const inside = (name: string): string => join(place.folder, name);
    const backend = { state: inside("state"), home: home ?? inside("home"), passphrase: "made-up users only" };
    mkdirSync(backend.state, { recursive: true });
    const stack = new OwnStack({
      ...place,
      env: environment(backend, { GUARDIAN_PASSWORD: login.password, ...env }),
    });
    writeFileSync(inside("Pulumi.yaml"), stringify(projectFile(plugin)));
    const { host, port, user, database } = login;
    stack.configure({
      "guardian:database": { host, port, database, user, sslmode: "disable", passwordFrom: "env:GUARDIAN_PASSWORD" },
      "guardian:legacyConsent": { mode: "assumed", legalBasis: "legitimate_interests", statement: "Nobody is real." },
      // What is measured here is the migration.
      "guardian:backup": { directory: inside("backups"), verify: "list" },
      ...config,
    });
    await stack.must(["stack", "init", place.name]);
    return stack;
  }

  /** PULUMI_BACKEND_URL */
  get backend(): string | undefined {
    return this.place.env["PULUMI_BACKEND_URL"];
  }

  /** Adds to the stack's file, which the engine has put its salt into. */
  configure(config: Record<string, unknown>): void {
    const file = join(this.place.folder, `Pulumi.${this.place.name}.yaml`);
    const there = existsSync(file) ? (parse(readFileSync(file, "utf8")) as { config?: object }) : {};
    writeFileSync(file, stringify({ ...there, config: { ...there.config, ...config } }));
  }

  /** Runs the CLI; a failed command is a code, not an exception. */
  pulumi(args: readonly string[], options: Partial<PulumiOptions> = {}): Promise<PulumiResult> {
    return pulumi(args, { cwd: this.place.folder, program: programOf(clone), ...this.place, ...options });
  }

  /** The same without a terminal: ^C reaches the engine through us, once. */
  run(args: readonly string[], options: Partial<PulumiOptions> = {}): Promise<PulumiResult> {
    return this.pulumi([...args, "--non-interactive", "--color=never"], { stdio: "pipe", detached: true, ...options });
  }

  /** @returns standard output @throws GuardianError if the command fails; the signal's reason */
  async must(args: readonly string[]): Promise<string> {
    const { signal, folder } = this.place;
    signal?.throwIfAborted();
    const { code, stdout, stderr } = await this.run(args);
    signal?.throwIfAborted();
    if (code === 0) return stdout;
    throw new GuardianError("command-failed", {
      what: `pulumi ${args.join(" ")} failed with exit code ${code}`,
      where: folder,
      todo: `see its output:\n${stdout}${stderr}`,
    });
  }
}
