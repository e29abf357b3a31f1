import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { whole as wrapped } from "../../provider/whole";
import { PartlyDone, type Call, type Handler } from "../../provider/types";
import { unknown, type Values } from "../../provider/wire";
import { Gate } from "../../resources/gate/declare";
import { gateSpec } from "../../resources/gate/spec";
import { sqlModuleSpec } from "../../resources/sql-module/spec";
import { list, map, resource, text, whole } from "../../spec";
import { declared } from "../support/declared";
import { walkModules, withWalkOn, type Held } from "../support/walk";
import { opened } from "../support/wire";
import { limits, schemaGate, type Bag } from "./gated";

const spec = resource("Toy", "A toy.", {
  inputs: { name: text("Its name.") },
  computed: { parts: whole(list(text("A part."), "Parts.")) },
  outputs: { facts: whole(map(text("A fact."), "Facts.")) },
});

const call = {} as Call<null>;
const inputs = { name: "a", parts: ["x", "y"] };
const folded = { name: "a", parts: '["x","y"]' };
const facts = { b: "2", a: "1" };

/** One that notes what it gets. */
function toy(got: unknown[] = []): Handler<null> {
  const unused = () => Promise.reject(new Error("unused"));
  return wrapped<null>({
    spec,
    check: (_call, news, olds) =>
      Promise.resolve((got.push(olds), { inputs: { ...news, parts: ["x", "y"] }, failures: [] })),
    diff: (_call, it) =>
      Promise.resolve(
        (got.push(it),
        new Map([
          ["parts[1]", "add"],
          ["facts.a", "drift"],
        ])),
      ),
    create: (_call, given) => Promise.resolve((got.push(given), { id: "1", state: { facts } })),
    update: unused,
    read: (_call, id, given, state) =>
      Promise.resolve((got.push(given, state), { gone: false, id, inputs: given, state: { ...state, facts } })),
    delete: (_call, _id, _inputs, state) => Promise.resolve(void got.push(state)),
  });
}

/** The same in the shape that the state had before. */
function before({ inputs: given, state, ...held }: Held, keys: readonly string[]): Held {
  const old = (bag: Bag): Bag =>
    Object.fromEntries(
      Object.entries(bag).map(([key, value]) => [key, keys.includes(key) ? (opened(value) as typeof value) : value]),
    );
  return { ...held, inputs: old(given), state: old(state) };
}

const wholes = (...of: { readonly [key: string]: { whole?: true } }[]): string[] =>
  of.flatMap((shape) => Object.keys(shape).filter((key) => shape[key]?.whole));

describe("provider: properties that the state has as one text", function () {
  this.timeout(120_000);

  it("are lists and objects to the handler, and one text of sorted keys to the engine", async () => {
    const got: unknown[] = [];
    const state = { ...folded, facts: '{"a":"1","b":"2"}' };
    expect(await toy(got).check(call, { name: "a" }, folded)).to.deep.equal({ inputs: folded, failures: [] });
    expect(await toy(got).create(call, folded)).to.deep.equal({ id: "1", state: { facts: state.facts } });
    const it = { id: "1", oldState: state, oldInputs: folded, news: folded };
    expect([...(await toy(got).diff(call, it))]).to.deep.equal([
      ["parts", "update"],
      ["facts", "drift"],
    ]);
    await toy(got).delete(call, "1", folded, state);
    const known = { ...inputs, facts };
    expect(got).to.deep.equal([inputs, inputs, { id: "1", oldState: known, oldInputs: inputs, news: inputs }, known]);
  });

  it("stay as an older release wrote them while they say the same, and are unknown as a whole", async () => {
    const old: Values = { ...inputs, facts };
    expect((await toy().check(call, { name: "a" }, inputs)).inputs).to.deep.equal(inputs);
    expect(await toy().read(call, "1", inputs, old)).to.deep.equal({ gone: false, id: "1", inputs, state: old });
    const other = { ...old, facts: { a: "1" } };
    expect(await toy().read(call, "1", inputs, other)).to.deep.include({
      state: { ...inputs, facts: '{"a":"1","b":"2"}' },
    });
    const unsure = wrapped<null>({
      ...toy(),
      create: () => Promise.resolve({ id: "", state: { facts: { a: unknown } } }),
    });
    expect((await unsure.create(call, { name: "a", parts: unknown })).state).to.deep.equal({ facts: unknown });
  });

  it("are one text in what is done in part as well", async () => {
    const partly = new PartlyDone("1", { ...inputs, facts }, inputs, ["half"]);
    const failing = wrapped<null>({ ...toy(), update: () => Promise.reject(partly) });
    const it = { id: "1", oldState: {}, oldInputs: {}, news: folded };
    const err = await failing.update(call, it).then(
      () => undefined,
      (thrown: unknown) => thrown as PartlyDone,
    );
    expect(err).to.be.instanceOf(PartlyDone);
    expect([err?.id, err?.inputs, err?.state, err?.reasons]).to.deep.equal([
      "1",
      folded,
      { ...folded, facts: '{"a":"1","b":"2"}' },
      ["half"],
    ]);
  });

  it("of a module and a gate: a state of the release before is no change, to check, diff or read; an update writes it anew", () =>
    withWalkOn(walkModules, async (walk, made) => {
      const gate = await walk.create(
        "Gate",
        "gate-schema",
        schemaGate(made, { checks: ["row-security", "functions"] }),
      );
      const module = made.modules[0]!;
      const { objects, definitions } = module.state;
      expect(opened(objects)).to.include("table public.audit_log");
      expect(opened(definitions)).to.have.property("table public.audit_log");
      for (const [held, keys] of [
        [module, wholes(sqlModuleSpec.computed, sqlModuleSpec.outputs)],
        [gate, wholes(gateSpec.outputs)],
      ] as const) {
        const old = before(held, keys);
        expect(keys.filter((key) => typeof old.state[key] === "string")).to.deep.equal([]);
        const kind = held === gate ? "Gate" : "SqlModule";
        const args =
          held === gate ? held.inputs : { module: walkModules[0]!, ledgerId: made.ledger.state["ledgerId"]! };
        expect(await walk.check(kind, held.urn.split("::").at(-1)!, args, old.inputs)).to.deep.equal(old.inputs);
        expect(await walk.diff(old)).to.deep.equal({ changes: "none", paths: {} });
        // What this release makes of the program beside what the one before made of it.
        expect(await walk.diff(old, held.inputs)).to.deep.equal({ changes: "none", paths: {} });
        expect(await walk.read(old)).to.deep.equal(old);
      }
      const stricter = schemaGate(made, {
        checks: ["row-security", "functions"],
        limits: { ...limits, maxDataLoss: 0 },
      });
      const now = await walk.change(before(gate, ["outcomes"]), stricter);
      expect((opened(now.state["outcomes"]) as Bag[]).map(({ check }) => check)).to.deep.equal([
        "row-security",
        "functions",
      ]);
    }));

  it("are lists and objects to the program, whichever release wrote them", async () => {
    const outcomes = [{ check: "a", verdict: "passed", evidence: [], figures: {}, seconds: 1 }];
    for (const held of [outcomes, JSON.stringify(outcomes)]) {
      let seen: unknown;
      await declared("dev", { outputs: () => ({ outcomes: held }) }, async () => {
        const gate = new Gate("gate", {} as ConstructorParameters<typeof Gate>[1], {});
        const taken = new Promise((resolve) => pulumi.output(gate.outcomes).apply(resolve));
        seen = await taken;
        return {};
      });
      expect(seen).to.deep.equal(outcomes);
    }
  });
});
