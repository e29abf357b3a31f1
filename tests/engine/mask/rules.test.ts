import { expect } from "chai";
import { writeFileSync } from "node:fs";
import type { Manifest } from "../../../engine/backup";
import { readRules } from "../../../engine/mask";
import { planTables } from "../../../engine/mask/plan";
import type { Declared } from "../../../engine/mask/schema";
import { useFolder } from "../../support/folder";
import { refusedBy } from "../../support/refused";

describe("the file of rules", () => {
  const folder = useFolder("guardian-rules-");
  const file = (yaml: string, name = "own.yaml"): string => {
    writeFileSync(folder(name), yaml);
    return folder(name);
  };
  const said = (yaml: string, first?: string): string =>
    refusedBy(() => readRules([file(yaml)], first)).message.replaceAll(`${folder()}/`, "");

  it("17-7 is refused with all that is wrong in it: line, key, and the nearest that is known", () => {
    const yaml = [
      "tabels: {}",
      "tables:",
      "  public.notes:",
      "    txt: [body]",
      "    id: [id, id]",
      "    name: [author]",
      "    email: [author]",
      "  notes:",
      "    text: body",
      "  public.log:",
      "    keep: [at]",
      "empty: [public.log, log]",
    ].join("\n");
    expect(said(yaml)).to.equal(
      [
        "the file has 4 errors [file-invalid]:",
        "    line 1: tabels is not known: the nearest known key is tables",
        "    line 4: tables.public.notes.txt is not known: the nearest known key is tables.public.notes.text",
        "    line 9: tables.notes.text does not fit: it must be a list of columns",
        "    line 12: empty has something else at [1]: it must be a list of tables",
        "  where: own.yaml",
        "  to do: mend the file",
      ].join("\n"),
    );
    const mended = yaml
      .replace("tabels: {}", "")
      .replace("txt", "text")
      .replace("text: body", "text: [body]")
      .replace(", log]", "]");
    expect(said(mended).split("\n").slice(1, -2)).to.deep.equal([
      "    line 5: tables.public.notes.id[1] is id, which stands there already",
      "    line 7: tables.public.notes.email[0] is author, which has the rule name too",
      "    line 8: tables.notes is no table with its schema",
      "    line 10: tables.public.log is among those that come empty too",
    ]);
  });

  it("17-7 adds to the rules of v6 and v7, and changes none of them", () => {
    const own = file("tables: { public.documents: { text: [note] }, public.notes: { id: [id] } }\nempty: [public.log]");
    const rules = readRules([own]);
    expect(rules.columns.get("public.documents")?.get("note")).to.equal("text");
    expect(rules.columns.get("public.documents")?.get("id")).to.equal("id");
    expect(rules.columns.get("public.notes")?.get("id")).to.equal("id");
    expect(rules.empty.has("public.log") && rules.empty.has("auth.sessions")).to.equal(true);
    expect(
      said(
        "tables: { public.documents: { keep: [extracted_text] }, auth.sessions: { id: [id] } }\nempty: [auth.users]",
      ),
    ).to.equal(
      [
        "the file rules what is ruled before it: public.documents.extracted_text, auth.sessions, auth.users [file-invalid]",
        "  where: own.yaml",
        "  to do: take them out of it; what is said of v6 and v7 is changed in sql/masking.yaml, where a test looks at it",
      ].join("\n"),
    );
    expect(refusedBy(() => readRules([folder("gone.yaml")])).message).to.contain(
      "cannot be read (ENOENT) [file-invalid]",
    );
  });

  it("17-7 must speak of every column of a backup: all others are named at once, with what would hide most", () => {
    const first = file(
      "tables:\n  public.notes: { id: [id], text: [bdy, at], clear: [needed], json: [words] }\nempty: [aside.*]",
      "first.yaml",
    );
    const column = (kind: Declared["kind"], type: string, more: Partial<Declared> = {}): Declared => ({
      kind,
      type,
      array: false,
      notNull: false,
      ...more,
    });
    const notes = {
      id: column("uuid", "uuid"),
      body: column("text", "text"),
      at: column("time", "timestamptz"),
      needed: column("text", "text", { notNull: true }),
      words: column("text", "text[]", { array: true }),
      place: column("other", "point"),
      amount: column("other", "int4", { notNull: true }),
    };
    const table = (schema: string, name: string, columns: string[]) => ({ schema, table: name, columns, rows: 0 });
    const manifest = {
      tables: [
        table("public", "notes", Object.keys(notes)),
        table("other", "notes", ["id"]),
        table("aside", "any", ["x"]),
      ],
    } as unknown as Manifest;
    const declared = new Map([["public.notes", new Map(Object.entries(notes))]]);
    expect(refusedBy(() => planTables(manifest, declared, readRules([], first), "backups/one")).message).to.equal(
      [
        "of 7 columns of the backup it is not said how to mask them; nothing was written [masking-incomplete]:",
        "    public.notes.body: text, has no rule; the rules name bdy, which is not there",
        "    public.notes.at: timestamptz, takes no rule text",
        "    public.notes.needed: text, must not be NULL and so cannot be cleared",
        "    public.notes.words: text[], takes no rule json",
        "    public.notes.place: point, has no rule",
        "    public.notes.amount: int4, has no rule",
        "    other.notes.id: a type that cannot be told, has no rule",
        "  where: backups/one",
        "  to do: decide on each in a file of your own, and give it by --rules FILE; what would hide most is",
        "  tables:",
        "    public.notes:",
        "      text: [body, needed, words]",
        "      year: [at]",
        "      clear: [place]",
        "      keep: [amount]",
        "    other.notes: # public.notes is ruled",
        "      clear: [id]",
        "     or: a table whose rows are not needed: `empty: [schema.table]`, in the same file",
      ].join("\n"),
    );
  });
});
