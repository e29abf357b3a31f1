/**
 * The load generator: a process of its own, so that what is measured, and what measures, does not stall it. It is started
 * by Traffic and ends with it.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { ClientConfig } from "pg";
import { Pool, type Outcome } from "./pool";
import { dueIn, Recorder, type Seen, type Span } from "./record";
import { classes, request, type People } from "./requests";
import type { Beat } from "./ticker";

/**
 * What the generator is told. `open`: connect. `carry`: as much as it can, each connection one after the other. `stop`: what
 * is due before the span's end is sent first, however late it is, and all that was sent is answered.
 */
export type Order =
  | { do: "open"; config: ClientConfig; connections: number; people: People; broken: string | undefined }
  | { do: "carry" }
  | { do: "send"; rate: number }
  | { do: "stop"; span: Span };

/** Its answers: to `open` and to `stop`, with how many requests were due in the span; or that it cannot go on. */
export type Answer =
  { is: "ready" } | { is: "record"; record: Seen; due: number | undefined } | { is: "error"; message: string };

let pool: Pool | undefined;
let people: People = { accounts: [], patients: [] };
let connections = 0;
/** A statement that each request ends with; to see that failures are counted. */
let broken: string | undefined;
/** Goes on from run to run, so that no two runs ask for the same in the same order. */
let counter = 0;
let recorder = new Recorder();
let pending = 0;
let stopping: (() => void) | undefined;
/** Ends what sends. @returns requests due in the span; undefined where each was sent when another was answered */
let halt: (span: Span) => Promise<number | undefined> = () => Promise.resolve(undefined);

const now = (): number => Number(process.hrtime.bigint()) / 1e6;
/** What makes Unix time of now(). */
let offset = 0;

/** Sends the next request, which was due at `due`. */
function send(due: number, after?: () => void): void {
  const { index, sql } = request(people, counter++);
  const late = now() - due;
  pending++;
  pool?.run(broken === undefined ? sql : `${sql};${broken}`, ({ failure }: Outcome) => {
    recorder.add(index, due + offset, now() - due, late);
    if (failure !== undefined) {
      recorder.failures.push({ at: due + offset, name: classes[index]?.name ?? "", code: failure });
    }
    pending--;
    if (stopping) {
      if (pending === 0) stopping();
    } else after?.();
  });
}

/** Closed loop: every connection sends its next request when the last one is answered. */
function carry(): void {
  const next = (): void => send(now(), next);
  for (let i = 0; i < connections; i++) next();
}

/** Open loop: requests are sent when they are due, whatever became of those before. */
function beat(rate: number): void {
  const workerData: Beat = { first: now() + 200, every: 1000 / rate };
  const worker = new Worker(join(__dirname, "ticker.ts"), { workerData });
  let sent = 0;
  const next = (): number => workerData.first + sent * workerData.every;
  worker.on("message", (due: number) => {
    for (; sent < due && !stopping; sent++) send(next());
  });
  worker.on("error", (err) => {
    throw err; // it ends this process, which Traffic sees
  });
  halt = async (span) => {
    const ended = worker.terminate();
    // Those that were due while this process stalled are the ones that waited longest.
    for (; next() + offset < span.to; sent++) send(next());
    await ended;
    return dueIn(workerData, offset, span);
  };
}

async function stop(span: Span): Promise<{ record: Seen; due: number | undefined }> {
  const halted = halt(span);
  await new Promise<void>((resolve) => {
    stopping = resolve;
    if (pending === 0) resolve();
  });
  const due = await halted;
  const record = recorder.finish();
  recorder = new Recorder();
  halt = () => Promise.resolve(undefined);
  stopping = undefined;
  return { record, due };
}

async function obey(order: Order): Promise<Answer | undefined> {
  if (order.do === "stop") return { is: "record", ...(await stop(order.span)) };
  offset = performance.timeOrigin + performance.now() - now();
  if (order.do === "open") {
    ({ people, connections, broken } = order);
    pool = new Pool(order.config);
    await pool.open(connections);
    return { is: "ready" };
  }
  if (order.do === "send") beat(order.rate);
  else carry();
  return undefined;
}

function fail(err: unknown): void {
  const answer: Answer = { is: "error", message: err instanceof Error ? err.message : String(err) };
  process.send?.(answer);
}

process.on("message", (order: Order) => {
  obey(order).then((what) => {
    if (what) process.send?.(what);
  }, fail);
});
// ^C is for whoever started it; when he lets go or is gone, so is it.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => {
  stopping = () => undefined; // else those that fail now would be followed by others without end
  void Promise.resolve(pool?.close()).finally(() => process.exit(0));
});
