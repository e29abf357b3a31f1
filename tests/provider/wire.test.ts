import * as rpc from "@pulumi/pulumi/runtime/rpc";
import { expect } from "chai";
import { decode, encode, hasUnknown, unknown, type Value, type Values } from "../../provider/wire";
import { plain, secretly, struct, unknownMark } from "../support/wire";

const odd = (value: unknown): Values => ({ outer: value as Value });

describe("provider/wire: values on the wire", () => {
  it("reads plain values as they are", () => {
    const values = { text: "a", number: 1.5, yes: true, none: null, list: [1, ["b"]], object: { a: { b: "c" } } };
    expect(decode(struct(values))).to.deep.equal({ values, secrets: new Set() });
    expect(decode(undefined)).to.deep.equal({ values: {}, secrets: new Set() });
  });

  it("unwraps secrets at any depth and says in which properties they were", () => {
    const { values, secrets } = decode(
      struct({
        top: secretly("s1"),
        deep: { list: [1, { inner: secretly({ a: secretly("s2") }) }] },
        open: "s3",
      }),
    );
    expect(values).to.deep.equal({ top: "s1", deep: { list: [1, { inner: { a: "s2" } }] }, open: "s3" });
    expect(secrets).to.deep.equal(new Set(["top", "deep"]));
  });

  it("reads unknowns at any depth, also inside a secret", () => {
    const { values, secrets } = decode(
      struct({ top: unknownMark, deep: { list: [unknownMark] }, hidden: secretly(unknownMark) }),
    );
    expect(values).to.deep.equal({ top: unknown, deep: { list: [unknown] }, hidden: unknown });
    expect(secrets).to.deep.equal(new Set(["hidden"]));
  });

  it("writes what it reads: secrets wrapped as a whole, unknowns marked", () => {
    const out = encode({ a: "x", s: { deep: ["y", unknown] }, n: null }, new Set(["s", "absent"]));
    expect(plain(out)).to.deep.equal({ a: "x", s: secretly({ deep: ["y", unknownMark] }), n: null });
  });

  for (const [name, value, path, kind] of [
    ["undefined", { a: [{ b: undefined }] }, "outer.a[0].b", "undefined"],
    ["a Date", [new Date(0)], "outer[0]", "a Date"],
    ["NaN", { n: Number.NaN }, "outer.n", "number"],
    ["Infinity", Infinity, "outer", "number"],
    ["a bigint", { n: [1n] }, "outer.n[0]", "bigint"],
    ["a function", () => 1, "outer", "function"],
    ["a Map", new Map(), "outer", "object"],
    ["a foreign symbol", Symbol("x"), "outer", "symbol"],
  ] as const) {
    it(`refuses ${name} with its path`, () => {
      expect(() => encode(odd(value), new Set())).to.throw(
        `property ${path} is ${kind}, which Pulumi's wire format cannot carry`,
      );
    });
  }

  it("refuses assets and resource references", () => {
    const asset = { [rpc.specialSigKey]: rpc.specialAssetSig, text: "x" };
    const message = "assets, archives and resource references are not taken by this plugin";
    expect(() => decode(struct({ file: asset }))).to.throw(message);
    expect(() => decode(struct({ r: [{ [rpc.specialSigKey]: rpc.specialResourceSig, urn: "u" }] }))).to.throw(message);
  });

  it("finds an unknown wherever it is", () => {
    for (const value of [unknown, [1, [unknown]], { a: { b: unknown } }] as Value[])
      expect(hasUnknown(value)).to.equal(true);
    for (const value of [undefined, null, "unknown", [], {}, { a: [1] }]) expect(hasUnknown(value)).to.equal(false);
  });
});
