import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../engine/server/launch";
import { allOnPath } from "../../scripts/pulumi/paths";

/** A real S3 server for tests, from source by Go's module proxy, which checks it against its public log. */
const version = "v1.8.0";
const command = `github.com/versity/versitygw/cmd/versitygw@${version}`;

const keys = { AWS_ACCESS_KEY_ID: "TESTKEY", AWS_SECRET_ACCESS_KEY: "of-no-worth" };

/**
 * Its program, built once (about 90 s of processor time) into $XDG_CACHE_HOME/guardian, else ~/.cache/guardian.
 * @throws Error that says why there is none
 */
export async function versitygw(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const folder = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "guardian", `versitygw-${version}`);
  const program = join(folder, "versitygw");
  if (existsSync(program)) return program;
  const [go] = [...allOnPath("go", env), "/usr/local/go/bin/go"].filter((one) => existsSync(one));
  if (go === undefined) throw new Error("there is no Go on PATH to build it with");
  const draft = join(folder, `.draft-${process.pid}`);
  mkdirSync(draft, { recursive: true });
  await promisify(execFile)(go, ["install", "-ldflags=-s -w", command], {
    env: { ...env, GOBIN: draft, GOWORK: "off" },
    timeout: 500_000,
  });
  renameSync(join(draft, "versitygw"), program);
  return program;
}

/** A server that runs, with a folder for its buckets. */
export class Gateway {
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(
    readonly program: string,
    /** Each folder in it is a bucket. */
    readonly folder: string,
    /** Where versions are kept; buckets can lock objects then. */
    readonly versions?: string,
  ) {}

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  readonly credentials = { ...keys, AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" };

  /** @param port that of before, to come back where it was */
  async start(port?: number): Promise<void> {
    this.#port = port ?? (this.#port || (await freePort()));
    const kept = this.versions === undefined ? [] : ["--versioning-dir", this.versions];
    const args = [
      "--port",
      `127.0.0.1:${this.#port}`,
      "--access",
      keys.AWS_ACCESS_KEY_ID,
      "--secret",
      keys.AWS_SECRET_ACCESS_KEY,
    ];
    const child = spawn(this.program, [...args, "--quiet", "posix", ...kept, this.folder], { stdio: "ignore" });
    this.#child = child;
    const stop = (): void => void child.kill("SIGKILL");
    process.once("exit", stop);
    child.once("exit", () => process.off("exit", stop));
    for (let tries = 0; tries < 200; tries++) {
      if (
        await fetch(this.endpoint).then(
          () => true,
          () => false,
        )
      )
        return;
      if (child.exitCode !== null) break;
      await sleep(50);
    }
    throw new Error("versitygw did not start");
  }

  /** Ends it as a power failure does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((ended) => child.once("exit", ended));
    child.kill("SIGKILL");
    await gone;
  }
}
