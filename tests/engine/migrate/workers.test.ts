import { expect } from "chai";
import type { WriteSession } from "../../../engine/database";
import type { Run } from "../../../engine/migrate/batch";
import { Progress } from "../../../engine/migrate/progress";
import { runWorkers, type Pace } from "../../../engine/migrate/workers";
import { Worklist } from "../../../engine/migrate/worklist";

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

function session(transaction: () => Promise<number>): WriteSession {
  const options = { signal: new AbortController().signal, onStatus: () => undefined };
  return { options, transaction } as unknown as WriteSession;
}

/** Lets the first worker go on, and the others rest until it is closed. */
function restful(): Pace & { rested: number; closed: boolean } {
  let end: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (end = resolve));
  return {
    rested: 0,
    closed: false,
    speed: 1,
    rest(worker) {
      if (worker === 0) return Promise.resolve();
      this.rested++;
      return closed;
    },
    close() {
      this.closed = true;
      end();
      return Promise.resolve();
    },
  };
}

describe("the workers of a data migration", () => {
  it("do not wait for one that rests when the list is empty", async () => {
    const pace = restful();
    const worker = session(() => Promise.resolve(0));
    await runWorkers([worker, worker], run, await listOf(60, 2), new Progress(own as never, 60_000, 0), pace);
    expect(pace.rested, "the second one rested").to.be.greaterThan(0);
    expect(pace.closed).to.equal(true);
  });

  it("say the error of one at once, while another rests", async () => {
    const pace = restful();
    let batches = 0;
    const fails = session(() => (++batches > 2 ? Promise.reject(new Error("planted")) : Promise.resolve(0)));
    const fine = session(() => Promise.resolve(0));
    const ended = runWorkers([fails, fine], run, await listOf(600, 2), new Progress(own as never, 600_000, 0), pace);
    expect(await ended.catch((err: unknown) => (err as Error).message)).to.equal("planted");
  });
});
