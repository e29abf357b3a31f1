/**
 * A thread that says when requests are due. The event loop's own timers have a resolution of a millisecond, which is more
 * than most requests take; a futex has 0.1 ms and costs nothing while it sleeps.
 */
import { parentPort, workerData } from "node:worker_threads";

/** When requests are to be sent: the k-th at `first` + k × `every`, milliseconds of process.hrtime. */
export interface Beat {
  first: number;
  every: number;
}

const { first, every } = workerData as Beat;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

for (let sent = 0; ;) {
  const now = Number(process.hrtime.bigint()) / 1e6;
  const due = Math.floor((now - first) / every) + 1;
  if (due > sent) parentPort?.postMessage((sent = due));
  Atomics.wait(sleeper, 0, 0, Math.max(first + sent * every - now, 0.01));
}
