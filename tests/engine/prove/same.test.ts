import { expect } from "chai";
import { sameMeaning } from "../../../engine/backup/prove/same";

const table = (check: string, owner = "a"): string =>
  `owner ${owner}\nCREATE TABLE t (v int, CONSTRAINT c CHECK (${check}));`;
const varchars = "'a'::character varying, 'b'::character varying";

describe("two definitions", () => {
  it("17-1 mean the same by their parse trees, whatever the parentheses and where a list is cast", async () => {
    const same: [string, string][] = [
      ["((v > 1) AND (v < 9))", "v > 1 AND v < 9"],
      [
        `((v)::text = ANY ((ARRAY[${varchars}])::text[]))`,
        "((v)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
      ],
    ];
    for (const [one, other] of same) expect(await sameMeaning(table(one), table(other)), one).to.equal(true);
    const child = (columns: string): string => `CREATE TABLE c (${columns}) INHERITS (p);`;
    expect(await sameMeaning(child("own int, late text"), child("late text, own int"))).to.equal(true);
    const policy = (roles: string): string => `CREATE POLICY p ON t TO ${roles} USING (true);`;
    expect(await sameMeaning(policy('b, "a x"'), policy('"a x", b'))).to.equal(true);
    expect(await sameMeaning(policy("a, b"), policy("a"))).to.equal(false);
    // Of a later version than the parser's: by their words.
    const newer = (generated: string): string => `CREATE TABLE t (v int GENERATED ALWAYS AS (${generated}) VIRTUAL);`;
    expect(await sameMeaning(newer("(v + 1)"), newer("v + 1"))).to.equal(true);
    expect(await sameMeaning(newer("v + 1"), newer("v + 2"))).to.equal(false);
  });

  it("17-1 differ by what is reckoned first, a cast, a list's member, an owner, the order of a table's own columns", async () => {
    const other: [string, string][] = [
      ["(v + 1) * 2 > 0", "v + 1 * 2 > 0"],
      ["(v > 1 OR v < 0) AND v <> 5", "v > 1 OR (v < 0 AND v <> 5)"],
      ["(v / 2)::numeric > 1", "v::numeric / 2 > 1"],
      ["v::bigint > 1", "v::int > 1"],
      [`v = ANY ((ARRAY[${varchars}])::text[])`, "v = ANY (ARRAY[('a'::character varying)::text])"],
    ];
    for (const [one, two] of other) expect(await sameMeaning(table(one), table(two)), one).to.equal(false);
    expect(await sameMeaning(table("v > 1"), table("v > 1", "b"))).to.equal(false);
    expect(await sameMeaning("CREATE TABLE t (a int, b int);", "CREATE TABLE t (b int, a int);")).to.equal(false);
  });
});
