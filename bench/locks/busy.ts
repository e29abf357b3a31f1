import { Worker } from "node:worker_threads";

/** Runs some work beside loops that compute without end; each wants a processor of its own. */
export async function beside<T>(loops: number, work: () => Promise<T>): Promise<T> {
  const workers = Array.from({ length: loops }, () => new Worker("for (;;);", { eval: true }));
  try {
    return await work();
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
