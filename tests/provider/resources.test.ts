import { expect } from "chai";
import {
  changesOf,
  check,
  configure,
  create,
  diff,
  failuresOf,
  invoke,
  read,
  remove,
  update,
  urnOf,
} from "../support/calls";
import { serveHere } from "../support/plugin";
import { toy } from "../support/toy/plugin";
import { plain, secretly, unknownMark } from "../support/wire";

const thing = urnOf("guardian:stage:Toys$toy:index:Thing", "t");

describe("provider: resources", () => {
  let plugin: Awaited<ReturnType<typeof serveHere>>;
  before(async () => {
    plugin = await serveHere(toy);
    await plugin.call(plugin.client.configure, configure({}));
  });
  after(() => plugin.close());

  describe("check", () => {
    it("gives the inputs back with what it adds; secrets stay secret, unknowns at any depth stay unknown", async () => {
      const news = {
        does: "well",
        count: 1,
        tags: ["a", unknownMark],
        place: { street: secretly("s"), house: unknownMark },
        settings: secretly({ a: unknownMark }),
        pin: "p",
      };
      const response = await plugin.call(plugin.client.check, check(thing, news));
      expect(failuresOf(response)).to.deep.equal([]);
      expect(plain(response.getInputs())).to.deep.equal({
        does: "well",
        count: 1,
        sum: 2,
        tags: ["a", unknownMark],
        place: secretly({ street: "s", house: unknownMark }),
        settings: secretly({ a: unknownMark }),
        pin: secretly("p"),
      });
    });

    it("names every input that does not fit, and asks the handler only if all do", async () => {
      const news = { count: "many", colour: "red", place: {}, tags: [1] };
      const response = await plugin.call(plugin.client.check, check(thing, news));
      expect(failuresOf(response)).to.have.members([
        "does: is required: What to do.",
        "count: must be of type integer",
        "colour: is not a property here; known are does, count, tags, place, settings, pin",
        "place.street: is required: A street.",
        "tags[0]: must be of type string",
      ]);
      const unlucky = await plugin.call(plugin.client.check, check(thing, { does: "well", count: 13 }));
      expect(failuresOf(unlucky)).to.deep.equal(["count: brings bad luck"]);
    });

    it("hands the handler the inputs in the state", async () => {
      const request = check(thing, { does: "well" }, { does: secretly("remember") });
      const response = await plugin.call(plugin.client.check, request);
      expect(plain(response.getInputs())).to.deep.equal({ does: "remembered" });
    });

    it("names the type that it does not know", async () => {
      const failure = await plugin.fail(plugin.client.check, check(urnOf("toy:index:Thang", "t"), {}));
      expect(failure.message).to.equal("toy 1.2.3 has no resource type toy:index:Thang");
    });
  });

  describe("diff", () => {
    const olds = { does: "well", tags: ["a"], sum: 1, made: "m" };

    it("says that nothing changed", async () => {
      const request = diff(thing, { olds, oldInputs: { does: "well" }, news: { does: secretly("well") } });
      expect(changesOf(await plugin.call(plugin.client.diff, request))).to.deep.equal({ changes: "none", paths: {} });
    });

    it("says in detail what changed, and what of it is an input", async () => {
      const request = diff(thing, {
        olds,
        oldInputs: { does: "well", tags: ["a", "b"], made: "m" },
        news: { does: "talk", tags: ["c"], sum: unknownMark, made: "n" },
      });
      const response = await plugin.call(plugin.client.diff, request);
      expect(changesOf(response)).to.deep.equal({
        changes: "some",
        paths: {
          does: "update",
          "tags[0]": "update",
          "tags[1]": "delete",
          sum: "add",
          made: "update, output",
        },
      });
      expect(new Set(response.getDiffsList())).to.deep.equal(new Set(["does", "tags", "sum", "made"]));
      expect([response.getReplacesList(), response.getDeletebeforereplace()]).to.deep.equal([[], false]);
    });
  });

  describe("create and update", () => {
    const olds = { does: "well", made: "m" };

    it("in preview give no id; what is not certain is unknown, inputs that were not given are not there", async () => {
      const properties = { does: "nothing", pin: unknownMark, tags: [unknownMark] };
      const response = await plugin.call(plugin.client.create, create(thing, properties, { preview: true }));
      expect(response.getId()).to.equal("");
      const expected = {
        does: "nothing",
        tags: [unknownMark],
        pin: secretly(unknownMark),
        sum: unknownMark,
        made: unknownMark,
        key: secretly(unknownMark),
      };
      expect(plain(response.getProperties())).to.deep.equal(expected);
      const change = { olds, news: properties };
      const updated = await plugin.call(plugin.client.update, update(thing, change, { preview: true }));
      expect(plain(updated.getProperties())).to.deep.equal(expected);
    });

    it("get preview, name and timeout, and give id and state with secrets wrapped", async () => {
      const properties = { does: "well", place: { street: secretly("s") }, pin: secretly("p") };
      const response = await plugin.call(plugin.client.create, create(thing, properties, { timeout: 60 }));
      const { made, ...rest } = plain(response.getProperties()) ?? {};
      expect(rest).to.deep.equal({
        does: "well",
        place: secretly({ street: "s" }),
        pin: secretly("p"),
        key: secretly("k-1"),
      });
      const told = { urn: thing, name: "t", preview: false, timeoutSeconds: 60, config: {} };
      expect(JSON.parse(made as string)).to.deep.equal(told);
      expect(response.getId()).to.equal("id-1");

      const change = { olds, news: { does: "well" } };
      for (const preview of [true, false]) {
        const answer = await plugin.call(plugin.client.update, update(thing, change, { preview, timeout: 5 }));
        const state = plain(answer.getProperties());
        expect(JSON.parse(state?.["made"] as string)).to.deep.include({ preview, timeoutSeconds: 5 });
      }
    });

    it("never let an unknown through to the work itself", async () => {
      const message = "the engine sent an unknown value outside preview";
      const request = create(thing, { does: "well", settings: secretly({ a: unknownMark }) });
      expect((await plugin.fail(plugin.client.create, request)).message).to.equal(message);
      const change = update(thing, { olds, news: { does: "well", tags: [unknownMark] } });
      expect((await plugin.fail(plugin.client.update, change)).message).to.equal(message);
    });

    it("pass the error's message on", async () => {
      const one = await plugin.fail(plugin.client.create, create(thing, { does: "throw" }));
      expect(one.message).to.equal("it went wrong");
      expect(one.partly).to.equal(undefined);
      const other = await plugin.fail(plugin.client.create, create(thing, { does: "throw no error" }));
      expect(other.message).to.equal("a string");
    });

    it("keep what is done in part, its secrets wrapped: those of the schema and those of the program", async () => {
      const properties = { does: "partly", tags: [secretly("a")], pin: "p" };
      const inputs = { does: "partly", tags: secretly(["a"]), pin: secretly("p") };
      const partly = {
        id: "id-of-part",
        properties: { ...inputs, made: "half", key: secretly("k-1") },
        inputs,
        reasons: ["t is half done"],
      };
      const created = await plugin.fail(plugin.client.create, create(thing, properties));
      expect(created.partly).to.deep.equal(partly);
      expect(created.message).to.equal("t is half done");
      const updated = await plugin.fail(plugin.client.update, update(thing, { olds, news: properties }));
      expect(updated.partly).to.deep.equal(partly);
    });

    for (const [does, path, kind] of [
      ["undefined", "made.inner[0].deep", "undefined"],
      ["date", "made.inner[0].deep", "a Date"],
      ["nan", "made.inner[0]", "number"],
      ["bigint", "made.inner", "bigint"],
    ] as const) {
      it(`refuse an output with ${does} in it, with its path`, async () => {
        const failure = await plugin.fail(plugin.client.create, create(thing, { does }));
        expect(failure.message).to.equal(`property ${path} is ${kind}, which Pulumi's wire format cannot carry`);
      });
    }
  });

  describe("read", () => {
    const state = { does: "well", made: "m", pin: secretly("p"), tags: secretly(["a"]), key: "k" };
    const inputs = { does: "well", pin: secretly("p"), tags: secretly(["a"]) };

    it("gives inputs and state as they are now, secrets wrapped", async () => {
      const response = await plugin.call(plugin.client.read, read(thing, "id-1", state, inputs));
      expect(response.getId()).to.equal("id-1");
      expect(plain(response.getInputs())).to.deep.equal(inputs);
      expect(plain(response.getProperties())).to.deep.equal({ ...state, made: "read anew", key: secretly("k") });
    });

    it("says that it is gone by an empty id", async () => {
      const response = await plugin.call(plugin.client.read, read(thing, "gone", state, inputs));
      expect([response.getId(), response.hasProperties(), response.hasInputs()]).to.deep.equal(["", false, false]);
    });

    it("says that it is unfinished and keeps its state; an error stays an error", async () => {
      const unfinished = await plugin.fail(plugin.client.read, read(thing, "partly", state, inputs));
      expect(unfinished.partly).to.deep.equal({
        id: "partly",
        properties: { ...state, key: secretly("k") },
        inputs,
        reasons: ["t is unfinished"],
      });
      const failure = await plugin.fail(plugin.client.read, read(thing, "wrong", state, inputs));
      expect([failure.message, failure.partly]).to.deep.equal(["it cannot be read", undefined]);
    });
  });

  it("deletes, or says why not", async () => {
    await plugin.call(plugin.client.delete, remove(thing, "id-1", { does: "well" }));
    const failure = await plugin.fail(plugin.client.delete, remove(thing, "stuck", { does: "well" }));
    expect(failure.message).to.equal("it cannot be deleted");
  });

  describe("invoke", () => {
    it("answers with secrets wrapped; what a secret went into is secret", async () => {
      const open = await plugin.call(plugin.client.invoke, invoke("toy:index:double", { n: 2 }));
      expect(plain(open.getReturn())).to.deep.equal({ n: 4, token: secretly("t-1") });
      const closed = await plugin.call(plugin.client.invoke, invoke("toy:index:double", { n: secretly(2) }));
      expect(plain(closed.getReturn())).to.deep.equal({ n: secretly(4), token: secretly("t-1") });
    });

    it("names arguments that do not fit, and functions that are not there", async () => {
      const response = await plugin.call(plugin.client.invoke, invoke("toy:index:double", { n: "two", m: 1 }));
      expect(failuresOf(response)).to.deep.equal([
        "n: must be of type integer",
        "m: is not a property here; known are n",
      ]);
      expect(response.hasReturn()).to.equal(false);
      const failure = await plugin.fail(plugin.client.invoke, invoke("toy:index:triple", {}));
      expect(failure.message).to.equal("toy has no function toy:index:triple");
    });
  });
});
