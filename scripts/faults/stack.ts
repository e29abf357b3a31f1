import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse, stringify } from "yaml";
import { GuardianError } from "../../engine/errors";
import { packageName } from "../../resources/spec";
import type { Program } from "../pulumi/inline";
import { pulumi, type PulumiResult } from "../pulumi/run";
import { mendTorn } from "../pulumi/torn";
import type { Login } from "../v6/database";

const clone = resolve(__dirname, "../..");
const name = "faults";
const project = "guardian";

export interface StackOptions {
  /** A folder of its own: project, state, backups. */
  folder: string;
  /** PULUMI_HOME. */
  home: string;
  /** Temporary files of the engine and of the plugin, which they cannot clear away when they are killed. */
  tmp: string;
  /** Path of the pulumi CLI. */
  engine: string;
  login: Login;
  /** Keys in a range of a data migration's plan. */
  rangeKeys: number;
}

/** The product's own program as a stack with a file backend of its own, run by the real CLI. */
export class FaultStack {
  readonly #options: StackOptions;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(options: StackOptions) {
    this.#options = options;
    // The user's own settings of Pulumi and libpq have no business here.
    const kept = Object.entries(process.env).filter(([key]) => !/^(PULUMI_|PG)/.test(key));
    this.#env = {
      ...Object.fromEntries(kept),
      TMPDIR: options.tmp,
      PULUMI_HOME: options.home,
      PULUMI_BACKEND_URL: pathToFileURL(this.#state).href,
      PULUMI_CONFIG_PASSPHRASE: "made-up users only",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      GUARDIAN_PASSWORD: options.login.password,
      // Nobody uses this v6, and a busy machine must not make a module wait minutes for a short moment to lock it.
      GUARDIAN_LOCK_HOLD_MS: "10000",
      GUARDIAN_LOCK_PAUSE_MS: "500",
      GUARDIAN_RANGE_KEYS: String(options.rangeKeys),
    };
  }

  /** Makes the stack; nothing is deployed yet. @throws GuardianError with the engine's own words */
  static async open(options: StackOptions): Promise<FaultStack> {
    const stack = new FaultStack(options);
    const { host, port, user, database } = options.login;
    mkdirSync(stack.#state, { recursive: true });
    const providers = [{ name: packageName, path: join(clone, "provider") }];
    writeFileSync(
      join(options.folder, "Pulumi.yaml"),
      stringify({ name: project, runtime: "nodejs", plugins: { providers } }),
    );
    stack.#configure({
      "guardian:database": { host, port, database, user, sslmode: "disable", passwordFrom: "env:GUARDIAN_PASSWORD" },
      "guardian:legacyConsent": { mode: "assumed", legalBasis: "legitimate_interests", statement: "Nobody is real." },
      "guardian:backup": { directory: join(options.folder, "backups"), jobs: 1 },
    });
    const made = await stack.run(["stack", "init", name]);
    if (made.code !== 0) throw new GuardianError({ what: `no stack: ${made.stderr.trim()}`, where: options.folder });
    return stack;
  }

  /** Sets guardian:through. */
  through(stage: "schema" | "deployment"): void {
    this.#configure({ "guardian:through": stage });
  }

  /** Runs a command of the CLI; a failed one is a code, not an exception. */
  run(args: readonly string[], onStart: (cli: ChildProcess) => void = () => undefined): Promise<PulumiResult> {
    return pulumi([...args, "--non-interactive", "--color=never"], {
      cwd: this.#options.folder,
      env: this.#env,
      engine: this.#options.engine,
      program: createRequire(__filename)(clone) as Program, // Pulumi's SDK is loaded when it is needed
      stdio: "pipe",
      detached: true, // ^C in the terminal reaches it through us, once
      onStart,
    });
  }

  /** Brings back a state that the CLI was killed in the middle of writing. */
  async mend(): Promise<void> {
    await mendTorn(this.#env["PULUMI_BACKEND_URL"]);
  }

  /** True if a dead run still holds the stack's lock: then only `pulumi cancel` helps. */
  get locked(): boolean {
    const folder = join(this.#state, ".pulumi", "locks");
    if (!existsSync(folder)) return false;
    return readdirSync(folder, { recursive: true, encoding: "utf8" }).some((file) => file.endsWith(".json"));
  }

  /** How many operations the state says are pending: a killed CLI could not write how they ended. */
  get pending(): number {
    const file = join(this.#state, ".pulumi", "stacks", project, `${name}.json`);
    if (!existsSync(file)) return 0;
    const { checkpoint } = JSON.parse(readFileSync(file, "utf8")) as {
      checkpoint: { latest?: { pending_operations?: unknown[] } };
    };
    return checkpoint.latest?.pending_operations?.length ?? 0;
  }

  get #state(): string {
    return join(this.#options.folder, "state");
  }

  /** Adds to the stack's file, which the engine has put its salt into. */
  #configure(config: Record<string, unknown>): void {
    const file = join(this.#options.folder, `Pulumi.${name}.yaml`);
    const there = existsSync(file) ? (parse(readFileSync(file, "utf8")) as { config?: object }) : {};
    writeFileSync(file, stringify({ ...there, config: { ...there.config, ...config } }));
  }
}
