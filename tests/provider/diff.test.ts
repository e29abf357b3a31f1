import { expect } from "chai";
import { changesBetween } from "../../provider/diff";
import { unknown, type Values } from "../../provider/wire";

const between = (olds: Values, news: Values): Record<string, string> => Object.fromEntries(changesBetween(olds, news));

describe("provider/diff: what changed", () => {
  it("finds nothing between equal values, whatever the order of keys", () => {
    const value = { a: 1, b: [1, { c: "d" }], n: null };
    expect(between(value, { b: [1, { c: "d" }], n: null, a: 1 })).to.deep.equal({});
  });

  it("names each leaf by its path: added, deleted, updated", () => {
    expect(
      between(
        { same: 1, gone: "x", list: ["a", "b"], object: { keep: 1, drop: 2, deep: { x: 1 } }, type: [1] },
        { same: 1, fresh: "y", list: ["a", "c", "d"], object: { keep: 1, add: 3, deep: { x: 2 } }, type: { 0: 1 } },
      ),
    ).to.deep.equal({
      gone: "delete",
      fresh: "add",
      "list[1]": "update",
      "list[2]": "add",
      "object.drop": "delete",
      "object.add": "add",
      "object.deep.x": "update",
      type: "update",
    });
  });

  it("quotes keys that are no names, as Pulumi's property paths do", () => {
    const olds = { definitions: { "table public.a": "1", 'say "hi"': "1", plain_1: "1", "1st": "1" } };
    const news = { definitions: { "table public.a": "2", 'say "hi"': "2", plain_1: "2", "1st": "2" } };
    expect(between(olds, news)).to.deep.equal({
      'definitions["1st"]': "update",
      'definitions["table public.a"]': "update",
      'definitions["say \\"hi\\""]': "update",
      "definitions.plain_1": "update",
    });
  });

  it("takes null for absent, and an unknown on either side for a change", () => {
    expect(between({ a: null }, {})).to.deep.equal({});
    expect(between({}, { a: null, b: unknown })).to.deep.equal({ b: "add" });
    expect(between({ a: 1, b: { c: unknown }, d: unknown }, { a: unknown, b: { c: 1 }, d: unknown })).to.deep.equal({
      a: "update",
      "b.c": "update",
      d: "update",
    });
  });

  it("passes over a plugin's own bookkeeping", () => {
    expect(
      between({ __source: "1", nested: { __source: "1" } }, { __source: "2", nested: { __source: "2" } }),
    ).to.deep.equal({ "nested.__source": "update" });
  });
});
