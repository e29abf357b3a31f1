import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { expect } from "chai";
import { startEngine } from "../support/fake-engine";
import { check, configure, create, urnOf } from "../support/calls";
import {
  isAlive,
  productPlugin,
  toyPlugin,
  withPlugin,
  type BootedPlugin,
  type PluginOptions,
} from "../support/plugin";
import { until } from "../support/processes";
import { plain } from "../support/wire";

const thing = urnOf("toy:index:Thing", "t");

/** Runs a test with a toy that is configured. */
function withToy<T>(test: (toy: BootedPlugin) => Promise<T>, options: PluginOptions = {}): Promise<T> {
  return withPlugin({ executable: toyPlugin, ...options }, async (toy) => {
    await toy.call(toy.client.configure, configure({}));
    return test(toy);
  });
}

/** A call that goes on, and how often it was answered. */
function begin(toy: BootedPlugin, does: string): { outcome: Promise<string>; answers: () => number } {
  let answers = 0;
  const outcome = new Promise<string>((resolve) => {
    toy.client.create(create(thing, { does }), (err, response) => {
      answers += 1;
      resolve(err ? err.details : (plain(response.getProperties())?.["made"] as string));
    });
  });
  return { outcome, answers: () => answers };
}

/** Waits until so many calls that hang have reached the process: a cancel that comes before them stops none. */
const hanging = (toy: BootedPlugin, calls: number): Promise<void> =>
  until("the calls hang", () => toy.engine.logs.filter(({ message }) => message === "hangs").length === calls);

describe("provider: the process", function () {
  this.timeout(120_000);

  it("prints its port and nothing else; the engine's log, however slow, has all before a call is answered, and may be gone", async () => {
    const engine = await startEngine(300);
    await withToy(
      async (toy) => {
        expect(await begin(toy, "talk").outcome).to.equal("talked");
        expect(engine.logs).to.deep.equal([
          { severity: "info", urn: thing, message: "an info", ephemeral: false },
          { severity: "warning", urn: thing, message: "a warning", ephemeral: false },
          { severity: "info", urn: thing, message: "a status", ephemeral: true },
        ]);
        expect(toy.printed.stdout).to.equal(`${toy.port}\n`);
        // What anybody else prints goes where the engine hides it.
        expect(toy.printed.stderr).to.equal("a greeting\nstray output\n");
        engine.stop();
        expect(await begin(toy, "talk").outcome, "the work goes on").to.equal("talked");
      },
      { engine },
    );
  });

  it("prints the port alone as the product too, in another folder and with the engine's own flags", async () => {
    await withPlugin({ executable: productPlugin, env: { NODE_OPTIONS: "--trace-warnings" } }, (plugin) => {
      expect(plugin.printed.stdout).to.equal(`${plugin.port}\n`);
      expect(plugin.printed.stderr).to.equal("");
      return Promise.resolve();
    });
  });

  describe("answers each call exactly once", () => {
    for (const [does, message] of [
      ["stray throw", "made presentable: thrown where nobody waits"],
      ["stray rejection", "made presentable: rejected where nobody waits"],
    ] as const) {
      it(`after a ${does}: every running call fails in seconds with that error, and so does every later one`, async () => {
        await withToy(async (toy) => {
          const bystander = begin(toy, "hang");
          const culprit = begin(toy, does);
          expect(await culprit.outcome).to.equal(message);
          expect(await bystander.outcome).to.equal(message);
          const later = await toy.fail(toy.client.check, check(thing, { does: "well" }));
          expect(later.message).to.equal(message);
          await toy.call(toy.client.cancel, new Empty());
          expect([culprit.answers(), bystander.answers()]).to.deep.equal([1, 1]);
          expect(isAlive(toy.pid)).to.equal(true);
        });
      });
    }

    it("when it throws after the answer: the answer stands, and the next call says what happened", async () => {
      await withToy(async (toy) => {
        const call = begin(toy, "answer, then throw");
        expect(await call.outcome).to.equal("answered");
        await until("it is told", () => toy.engine.logs.length > 0);
        const told = {
          severity: "warning",
          urn: "",
          message: "made presentable: thrown after the answer",
          ephemeral: false,
        };
        expect(toy.engine.logs).to.deep.equal([told]);
        const later = await toy.fail(toy.client.check, check(thing, { does: "well" }));
        expect(later.message).to.equal("made presentable: thrown after the answer");
        expect(call.answers()).to.equal(1);
      });
    });
  });

  it("cancel stops the running calls, which answer for themselves; it is idempotent, and the process works on", async () => {
    await withToy(async (toy) => {
      const calls = [begin(toy, "hang"), begin(toy, "hang")];
      await hanging(toy, 2);
      await toy.call(toy.client.cancel, new Empty());
      await toy.call(toy.client.cancel, new Empty());
      expect(await Promise.all(calls.map((call) => call.outcome))).to.deep.equal([
        "stopped by the user (^C or SIGTERM)",
        "stopped by the user (^C or SIGTERM)",
      ]);
      expect(await begin(toy, "talk").outcome).to.equal("talked");
      // The engine asks for the end (SIGINT to the group), and waits 5 s before it kills.
      await toy.close();
      expect(await toy.exited, "not killed").to.equal(0);
    });
  });

  describe("ends", () => {
    it("at SIGTERM, with running calls answered", async () => {
      await withToy(async (toy) => {
        const call = begin(toy, "hang");
        await hanging(toy, 1);
        process.kill(toy.pid, "SIGTERM");
        expect(await call.outcome).to.equal("the plugin was told to stop (SIGTERM)");
        expect(await toy.exited).to.equal(0);
      });
    });

    it("soon after the CLI's end, which it sees by its stdin, though a call ignores the cancel", async () => {
      await withToy(async (toy) => {
        const deaf = begin(toy, "ignore");
        await hanging(toy, 1);
        toy.child.stdin?.end();
        expect(await toy.exited).to.equal(0);
        await deaf.outcome;
        expect(isAlive(toy.pid)).to.equal(false);
      });
    });
  });
});
