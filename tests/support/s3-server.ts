import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../engine/server/launch";

const keys = { AWS_ACCESS_KEY_ID: "TESTKEY", AWS_SECRET_ACCESS_KEY: "of-no-worth" };

/** A real server of S3 for tests, as a process of its own on this machine. */
export abstract class S3Server {
  #child: ChildProcess | undefined;
  #port = 0;

  readonly credentials = { ...keys, AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" };

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What its process is. */
  protected abstract launch(port: number): { program: string; args: string[] };

  /** @param port that of before, to come back where it was */
  async start(port?: number): Promise<void> {
    this.#port = port ?? (this.#port || (await freePort()));
    const { program, args } = this.launch(this.#port);
    const child = spawn(program, args, { stdio: "ignore" });
    this.#child = child;
    const stop = (): void => void child.kill("SIGKILL");
    process.once("exit", stop);
    child.once("exit", () => process.off("exit", stop));
    const answers = (): Promise<boolean> =>
      fetch(this.endpoint).then(
        () => true,
        () => false,
      );
    const until = Date.now() + 30_000;
    while (Date.now() < until && child.exitCode === null) {
      if (await answers()) return;
      await sleep(50);
    }
    throw new Error(`${program} did not start`);
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
