import { expect } from "chai";
import { GuardianError } from "../../../engine/base/errors";
import { attempt } from "../../../engine/ledger/attempt";
import { addStep, readStep, setStep } from "../../../engine/ledger/steps";
import { endWriters, refusalOf, withEngine, type Engine } from "../module/harness";

const urnOf = (engine: Engine): string => engine.urn("Thing", "x");

/** Makes a thing of a meaning; `fail` makes it go wrong before anything is committed. */
function make(
  engine: Engine,
  meaning: string,
  physicalId: string,
  fail?: (session: unknown) => Promise<never>,
): Promise<void> {
  return engine.write("Thing", "x", async (fenced) => {
    const current = await readStep(fenced.writer, urnOf(engine));
    const otherwise = current?.state ?? "planned";
    await attempt(fenced, { kind: "Backup", state: "running", meaning }, otherwise, async (step) => {
      await fail?.(fenced);
      await fenced.transaction((db) => setStep(db, step, { state: "done", physicalId, detail: { path: meaning } }));
    });
  });
}

describe("the ledger's row of a piece of work", function () {
  this.timeout(60_000);

  it("says after a failure what still stands, and why it failed", () =>
    withEngine(async (engine) => {
      const now = async (): Promise<unknown> => {
        const step = (await engine.steps()).find((found) => found.kind === "Backup")!;
        const { state, meaning, physicalId, detail } = step;
        return [step.attempt, state, meaning, physicalId, detail];
      };
      const fail = (): Promise<never> =>
        Promise.reject(new GuardianError("unexpected", { what: "no", where: "here", sqlstate: "23505" }));
      const error = { what: "no", where: "here", sqlstate: "23505" };
      await refusalOf(make(engine, "first", "1", fail));
      expect(await now()).to.deep.equal([1, "planned", "first", null, { error }]);
      await make(engine, "first", "1");
      expect(await now()).to.deep.equal([2, "done", "first", "1", { path: "first" }]);
      // What failed is not taken for done: neither its meaning nor its values.
      await refusalOf(make(engine, "second", "2", fail));
      expect(await now()).to.deep.equal([3, "done", "first", "1", { path: "first", error }]);
      await make(engine, "second", "2");
      expect(await now()).to.deep.equal([4, "done", "second", "2", { path: "second" }]);
    }));

  it("says so too where it was killed, and after a rollback begins anew", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await make(engine, "first", "1");
      const killed = make(engine, "second", "2", async () => {
        await endWriters(admin);
        throw new GuardianError("unexpected", { what: "killed" });
      });
      expect((await refusalOf(killed)).what).to.equal("killed");
      const read = (): Promise<unknown> =>
        engine.host.read(async (db) => {
          const step = await readStep(db, urnOf(engine));
          return [step?.state, step?.physicalId, step?.detail];
        });
      expect(await read()).to.deep.equal(["running", "1", { path: "first" }]);
      await engine.write("Thing", "x", (fenced) =>
        fenced.transaction(async (tx) => {
          const step = await addStep(tx, {
            urn: urnOf(engine),
            kind: "Backup",
            state: "undoing",
          });
          await setStep(tx, step, { state: "undone" });
        }),
      );
      await engine.write("Thing", "x", (fenced) =>
        fenced.transaction((tx) => addStep(tx, { urn: urnOf(engine), kind: "Backup", state: "running" })),
      );
      expect(await read()).to.deep.equal(["running", null, { life: 1 }]);
    }));
});
