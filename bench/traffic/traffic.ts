import { fork, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Login } from "../../scripts/v6/database";
import type { Answer, Order } from "./generator";
import { complete, filter, within, type Seen, type Span } from "./record";
import type { People } from "./requests";

export interface TrafficOptions {
  /** A superuser, who becomes what each request is made as. */
  login: Login;
  people: People;
  connections: number;
  signal: AbortSignal;
  /** SQL that each request ends with, to see that a failure is counted. */
  broken?: string;
}

/** As Supabase has it for those who are logged in: a request that waits for longer has failed. */
const session = "-c statement_timeout=8s -c search_path=public,extensions";

/** The v6 application's traffic, made by a process of its own. */
export class Traffic {
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal;

  private constructor(child: ChildProcess, signal: AbortSignal) {
    this.#child = child;
    this.#signal = signal;
  }

  /** Starts the process and connects it. @throws Error if it cannot */
  static async open({ login, people, connections, signal, broken }: TrafficOptions): Promise<Traffic> {
    const child = fork(join(__dirname, "generator.ts"), [], {
      execArgv: ["--require", createRequire(__filename).resolve("tsx/cjs")],
      serialization: "advanced",
    });
    const traffic = new Traffic(child, signal);
    try {
      const config = { ...login, options: session, application_name: "v6 application" };
      await traffic.#ask({ do: "open", config, connections, people, broken }, "ready");
      return traffic;
    } catch (err) {
      await traffic.close();
      throw err;
    }
  }

  /** How many requests a second the machine answers when each connection sends one after the other. */
  async capacity(ms: number): Promise<number> {
    await this.#tell({ do: "carry" });
    const { record, span } = await this.#until(() => sleep(ms, undefined, { signal: this.#signal }), ms / 4);
    return record.at.length / ((span.to - span.from) / 1000);
  }

  /**
   * Sends at a fixed rate while the work is done.
   * @param rate requests a second
   * @returns the requests that were due while it was done, every one of them
   * @throws Error if one is missing
   */
  async during(rate: number, work: () => Promise<unknown>): Promise<{ record: Seen; span: Span }> {
    await this.#tell({ do: "send", rate });
    return this.#until(work, 1200);
  }

  /** @param lead milliseconds that are not measured: plans are made and caches warm */
  async #until(work: () => Promise<unknown>, lead: number): Promise<{ record: Seen; span: Span }> {
    await sleep(lead, undefined, { signal: this.#signal });
    const from = Date.now();
    await work();
    const span = { from, to: Date.now() };
    await sleep(200); // the span's last requests are answered under the same load
    const { record, due } = await this.#ask({ do: "stop", span }, "record");
    const inSpan = filter(record, (at) => within([span], at));
    return { record: complete(inSpan, due), span };
  }

  async #tell(order: Order): Promise<void> {
    this.#signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      this.#child.send(order, (err) => (err ? reject(err) : resolve()));
    });
  }

  async #ask<Is extends Answer["is"]>(order: Order, wanted: Is): Promise<Answer & { is: Is }> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error("the load generator ended"));
      child.once("exit", ended);
      child.once("message", (answer: Answer) => {
        child.off("exit", ended);
        if (answer.is === wanted) resolve(answer as Answer & { is: Is });
        else reject(new Error(`the load generator failed: ${answer.is === "error" ? answer.message : answer.is}`));
      });
      child.send(order, (err) => {
        if (err) reject(err);
      });
    });
  }

  /** Closes its connections and ends the process, whatever it is doing. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.connected) this.#child.disconnect();
    await gone;
  }
}
