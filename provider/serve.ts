import { sayPort } from "./quiet";
import type { Calls } from "./calls";
import { served } from "./server";
import type { Plugin } from "./types";

/** How long the process may take to end once the CLI is gone, in milliseconds; 5 s are promised. */
const endWithin = 4000;

/** Runs a plugin until the engine ends it. The user sees only what goes through the engine's log. */
export async function serve<Host>(plugin: Plugin<Host>): Promise<void> {
  const engine = process.argv.slice(2).find((arg) => !arg.startsWith("-"));
  const { calls, host, listen } = served(plugin, engine);

  let ending = false;
  const end = (reason: string, code: number): void => {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(code), endWithin).unref();
    calls.cancel(reason);
    const made = host();
    const closed = made === undefined ? Promise.resolve() : plugin.close(made);
    void closed.catch(() => undefined).then(() => settled(calls, endWithin - 500).then(() => process.exit(code)));
  };

  // After kill -9 of the CLI this process would live on as an orphan; the end of its stdin is how it learns of it.
  process.stdin.on("end", () => end("the Pulumi CLI is gone", 0));
  process.stdin.on("error", () => end("the Pulumi CLI is gone", 0));
  process.stdin.resume();
  // The engine gives each plugin a process group of its own, so that ^C at the terminal never comes here: it asks for an
  // end by SIGINT when it is through, waits 5 s and kills (sdk/go/common/resource/plugin/plugin.go, ExecPlugin).
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => end(`the plugin was told to stop (${signal})`, 0));
  }
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (err: unknown) => calls.fail(plugin.presentable(err)));
  }

  sayPort(await listen());
}

/** Waits until no call is running any more, at most `limit` milliseconds. */
async function settled(calls: Calls, limit: number): Promise<void> {
  const until = Date.now() + limit;
  while (calls.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
}
