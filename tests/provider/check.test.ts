import { expect } from "chai";
import { problemsWith } from "../../provider/check";
import { unknown, type Value, type Values } from "../../provider/wire";
import { any, check, flag, integer, list, map, optional, record, secret, text, within } from "../../spec";

const shape = {
  name: text("The name."),
  age: optional(integer("Years.")),
  on: optional(flag("On or off.")),
  tags: optional(list(text("A tag."), "Tags.")),
  place: optional(record({ street: text("The street."), house: optional(integer("Number.")) }, "A place.")),
  settings: optional(map(list(integer("A number."), "Numbers."), "Settings.")),
  anything: optional(any("Anything.")),
  pin: secret(optional(text("A secret."))),
};

const problems = (values: Record<string, unknown>): string[] =>
  problemsWith(shape, values as Values).map(({ property, reason }) => `${property}: ${reason}`);

describe("provider/check: what a program may give", () => {
  it("takes what fits", () => {
    const place = { street: "s", house: 1 };
    const values = { name: "n", age: 1, on: false, tags: ["a"], place, settings: { a: [1] }, anything: [{ x: null }] };
    expect(problems(values)).to.deep.equal([]);
    expect(problems({ name: "n", age: null })).to.deep.equal([]);
  });

  it("names what is missing, with what it is for", () => {
    expect(problems({})).to.deep.equal(["name: is required: The name."]);
    expect(problems({ name: null, place: {} })).to.deep.equal([
      "name: is required: The name.",
      "place.street: is required: The street.",
    ]);
  });

  it("names wrong types at any depth by their path", () => {
    expect(
      problems({
        name: 1,
        age: 1.5,
        on: "true",
        tags: ["a", 2],
        place: { street: [], house: 2 ** 53 },
        settings: { "a b": [1, "2"], c: 3 },
        pin: {},
      }),
    ).to.deep.equal([
      "name: must be of type string",
      "age: must be of type integer",
      "on: must be of type boolean",
      "tags[1]: must be of type string",
      "place.street: must be of type string",
      "place.house: must be of type integer",
      "settings.a b[1]: must be of type integer",
      "settings.c: must be of type array",
      "pin: must be of type string",
    ]);
    expect(problems({ name: "n", place: [], settings: "s", tags: {} })).to.have.length(3);
  });

  it("never quotes the value, which may be a secret", () => {
    expect(JSON.stringify(problems({ name: "n", pin: ["hunter2"], settings: { a: "hunter2" } }))).not.to.contain(
      "hunter2",
    );
  });

  it("nor does the spec's own sentence, of a number that is one", () => {
    const { faults } = check(record({ pin: secret(within(1, 9, integer("A pin."))) }, ""), { pin: 1234 });
    expect(faults.map((fault) => fault.text)).to.deep.equal([
      "pin is not allowed (a secret, not shown): it must be a whole number from 1 to 9",
    ]);
  });

  it("refuses keys that nobody knows, with those that are known; Pulumi's own are let through", () => {
    expect(problems({ name: "n", nmae: "x", place: { street: "s", city: "c" }, __defaults: [] })).to.deep.equal([
      "place.city: is not a property here; known are street, house",
      "nmae: is not a property here; known are name, age, on, tags, place, settings, anything, pin",
    ]);
    expect(problemsWith({}, { a: 1 })).to.deep.equal([
      { property: "a", reason: "is not a property here; known are none" },
    ]);
  });

  it("lets unknowns pass wherever they stand", () => {
    const at = (value: Value): Values => ({ name: "n", tags: value });
    for (const value of [unknown, ["a", unknown]] as Value[]) expect(problemsWith(shape, at(value))).to.deep.equal([]);
    const deep: Values = {
      name: unknown,
      age: unknown,
      place: { street: unknown, house: unknown },
      settings: { a: [unknown] },
    };
    expect(problemsWith(shape, deep)).to.deep.equal([]);
    expect(problemsWith(shape, { name: "n", settings: { a: unknown, b: "x" } })).to.have.length(1);
  });
});
