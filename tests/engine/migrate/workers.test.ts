import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { FencedWriter } from "../../../engine/database";
import type { Run } from "../../../engine/migrate/rows/batch";
import { Crew } from "../../../engine/migrate/workers/crew";
import type { Pace } from "../../../engine/migrate/workers/pace";
import type { Progress } from "../../../engine/base/progress";
import { Meter } from "../../../engine/migrate/workers/meter";
import { moveChunks } from "../../../engine/migrate/rows/chunks";
import { Worklist } from "../../../engine/migrate/rows/worklist";

/** A plan of so many ranges of 1000 keys, without a database. */
function listOf(ranges: number, workers: number): Promise<Worklist> {
  const rows = Array.from({ length: ranges }, (_none, i) => ({
    place: i + 1,
    from: [`${i}`],
    to: [`${i}`],
    keys: 1000,
  }));
  return Worklist.read({ query: () => Promise.resolve({ rows }) } as never, "urn", workers);
}

const own = { name: "own", batchMs: 300 };
const run = { it: own, urn: "urn", gate: () => Promise.resolve() } as unknown as Run;

function writer(transaction: () => Promise<number>, said: Progress[] = []): FencedWriter {
  const options = { signal: new AbortController().signal, onProgress: (it: Progress) => said.push(it) };
  return { options, transaction, writer: { close: () => Promise.resolve() } } as unknown as FencedWriter;
}

/** Lets the first worker go on, and the others rest until there is nothing left to wait for. */
function restful(): Pace & { rested: number } {
  return {
    rested: 0,
    speed: 1,
    reason: undefined,
    rest(worker, _workMs, over) {
      if (worker === 0) return Promise.resolve();
      this.rested++;
      return new Promise((resolve) => {
        if (over.aborted) resolve();
        else over.addEventListener("abort", () => resolve(), { once: true });
      });
    },
    close: () => Promise.resolve(),
  };
}

async function work(workers: FencedWriter[], pace: Pace, ranges: number): Promise<void> {
  const crew = new Crew(workers, pace);
  try {
    await moveChunks(crew, run, await listOf(ranges, 2), new Meter("move", "own", 1000 * ranges));
  } finally {
    await crew.close();
  }
}

describe("the workers of a data migration", () => {
  it("do not wait for one that rests when the list is empty, and say how it ended", async () => {
    const [pace, said] = [restful(), [] as Progress[]];
    const worker = writer(() => Promise.resolve(0), said);
    await work([worker, worker], pace, 60);
    expect(pace.rested, "the second one rested").to.be.greaterThan(0);
    expect(said.at(-1)).to.include({ phase: "move", subject: "own", done: 60_000, total: 60_000 });
  });

  it("say the error of one at once, while another rests", async () => {
    let batches = 0;
    const fails = writer(() => (++batches > 2 ? Promise.reject(new Error("planted")) : Promise.resolve(0)));
    const fine = writer(() => Promise.resolve(0));
    const ended = work([fails, fine], restful(), 600);
    expect(await ended.catch((err: unknown) => (err as Error).message)).to.equal("planted");
  });

  it("say every two seconds how far they are, and why they wait, however long one turn lasts", async () => {
    const [said, slow] = [[] as Progress[], { ...restful(), reason: "replication lag 12 s" }];
    const crew = new Crew([writer(() => Promise.resolve(0), said)], slow);
    await crew.during(new Meter("move", "own", 100), async () => {
      while (said.length < 3) await sleep(50);
    });
    await crew.close();
    expect(said[1]?.reason).to.equal("replication lag 12 s");
  });
});
