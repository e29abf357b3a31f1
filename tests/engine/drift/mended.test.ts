import { expect } from "chai";
import { byModule, findDrift } from "../../../engine/module/drift";
import { Inventory, inventoryVersion } from "../../../engine/module/inventory";

describe("drift: what a gate asked to have mended", () => {
  const table = "owner guardian\nrow security true forced true";
  const passed = "row security is passed by authenticated";
  const shown = "shown to anon by view public.all_rows";

  const lines = (recorded: string, now: string): string[][] => {
    const object = "table public.patient_consents";
    const records = byModule([{ urn: "u", object, definition: recorded, facts: inventoryVersion }]);
    const inventory = new Inventory([[object, now]]);
    return findDrift(records, "u", new Map([[inventoryVersion, inventory]])).map((drift) => drift.lines);
  };

  it("19-6 a breach that was there when a table was made, and is over, is no drift; one that came is", () => {
    expect(lines([table, passed, shown].join("\n"), table)).to.deep.equal([]);
    expect(lines([table, passed, shown].join("\n"), [table, shown].join("\n"))).to.deep.equal([]);
    expect(lines(table, [table, passed].join("\n"))).to.deep.equal([[`now: ${passed}`]]);
    expect(lines([table, shown].join("\n"), [table, passed].join("\n"))).to.deep.equal([
      [`was: ${shown}`, `now: ${passed}`],
    ]);
  });

  it("19-6 and whatever else is gone from a table is drift", () => {
    expect(lines(`${table}\nconstraint a CHECK (b)`, table)).to.deep.equal([["was: constraint a CHECK (b)"]]);
    expect(lines([table, passed, "options {}"].join("\n"), table)).to.deep.equal([
      [`was: ${passed}`, "was: options {}"],
    ]);
  });

  it("19-6 an order of lines that differs is drift still", () => {
    expect(lines("a\nb", "b\na")).to.deep.equal([[]]);
  });
});
