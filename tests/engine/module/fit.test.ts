import { expect } from "chai";
import { column, moduleOf, refusalOf, withEngine, type Files, withMigrator } from "./harness";

/** A module with one table that a rollback keeps. @param also more of what it lists */
const kept = (up: string, also = "", subject = "person", tables = "public.t"): Files => ({
  yaml: `objects:\n  table: [${tables}]\n${also}archive:\n  - { table: public.t, subject: ${subject} }\n`,
  up,
});
const two = (up: string, other: string): Files => kept(up, "", "person", `public.t, ${other}`);
const mood = "  type: [public.mood]\n";

/** Two tables that refer to each other. @param last what makes the second key */
const circle = (last: string): Files => ({
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t, public.u]\narchive:\n  - { table: public.t, subject: none }\n  - { table: public.u, subject: none }\n",
  up: `CREATE TABLE public.t (id int PRIMARY KEY, u int, person uuid); CREATE TABLE public.u (id int PRIMARY KEY, t int REFERENCES public.t); ${last}`,
});
const inCircle =
  "public.t, public.u: they refer to each other in a circle, and none could come back first; take one of the keys out";
const closing = "ALTER TABLE public.t ADD FOREIGN KEY (u) REFERENCES public.u";
const onV6 = "ALTER TABLE public.t ADD FOREIGN KEY (person) REFERENCES auth.users";
const brought =
  "public.t: it holds rows that the module brings along, which would take the place of those that come back";

/** What a table under archive may not be, and why. */
const unfit: [why: string, files: Files][] = [
  [
    "public.t: it is partitioned, or of a table with parts: its rows would go with these",
    two(
      `CREATE TABLE public.t (id int PRIMARY KEY, person uuid) PARTITION BY RANGE (id);
       CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM (0) TO (9)`,
      "public.t_1",
    ),
  ],
  [
    "public.t: it is partitioned, or of a table with parts: its rows would go with these",
    two(
      "CREATE TABLE public.u (id int, person uuid); CREATE TABLE public.t (PRIMARY KEY (id)) INHERITS (public.u)",
      "public.u",
    ),
  ],
  [
    "public.t: column mood is of type public.mood, which the module takes away before its rows are back",
    kept("CREATE TYPE public.mood AS ENUM ('a'); CREATE TABLE public.t (id int, person uuid, mood public.mood)", mood),
  ],
  [
    "public.t: column moods is of type public.mood, which the module takes away before its rows are back",
    kept("CREATE DOMAIN public.mood AS text; CREATE TABLE public.t (id int, person uuid, moods public.mood[])", mood),
  ],
  [
    "public.t: column u is of table public.u, which the module takes away before its rows are back",
    two("CREATE TABLE public.u (id int); CREATE TABLE public.t (id int, person uuid, u public.u)", "public.u"),
  ],
  [
    "public.t: t_id_key is deferrable, by which no row comes back",
    kept("CREATE TABLE public.t (id int UNIQUE DEFERRABLE, person uuid)"),
  ],
  [
    "public.t: its subject, someone, is no column that can refer to an account",
    kept("CREATE TABLE public.t (id int, person uuid)", "", "someone"),
  ],
  [
    "public.t: its subject, person, is no column that can refer to an account",
    kept("CREATE TABLE public.t (id int, person text)"),
  ],
  [brought, kept("CREATE TABLE public.t (id int, person uuid); INSERT INTO public.t VALUES (1)")],
  [inCircle, circle(closing)],
  // While v6 is locked, too.
  [inCircle, circle(`${onV6}; ${closing}`)],
  [brought, { ...circle(`${onV6}; INSERT INTO public.t VALUES (1)`) }],
];

describe("tables whose rows a rollback is to keep", function () {
  this.timeout(60_000);

  it("16-16 are refused before anything stands where they could not wait, or their rows not come back", () =>
    withMigrator(async (engine, client) => {
      for (const [why, files] of unfit) {
        const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
        expect(said.code, why).to.equal("file-invalid");
        expect(said.where).to.equal(why);
        expect(await column(client, "SELECT to_regclass('public.t')"), why).to.deep.equal([null]);
      }
    }));

  it("16-16 and are so too where they are made while v6 is locked", () =>
    withEngine(async (engine) => {
      const files = kept("CREATE TABLE public.t (id int UNIQUE DEFERRABLE, person uuid REFERENCES auth.users)");
      const said = await refusalOf(
        engine.apply(await moduleOf("900_t", { ...files, yaml: `locks: [auth.users]\n${files.yaml ?? ""}` })),
      );
      expect(said.where).to.equal("public.t: t_id_key is deferrable, by which no row comes back");
    }));

  it("16-16 and so are two whose names, or whose indexes' names, are one in the archive", () =>
    withEngine(async (engine, db) => {
      await (await db.connect("admin")).query("CREATE SCHEMA clinic; GRANT ALL ON SCHEMA clinic TO PUBLIC");
      const yaml = (other: string): string =>
        `objects:\n  table: [public.t, ${other}]\narchive:\n  - { table: public.t, subject: none }\n  - { table: ${other}, subject: none }\n`;
      const one = "CREATE TABLE public.t (id int CONSTRAINT t_key PRIMARY KEY);";
      for (const [other, name] of [
        ["clinic.t", "t"],
        ["clinic.u", "t_key"],
      ] as const) {
        const up = `${one} CREATE TABLE ${other} (id int CONSTRAINT ${name === "t" ? "u_key" : name} PRIMARY KEY)`;
        const said = await refusalOf(engine.apply(await moduleOf("900_t", { yaml: yaml(other), up })));
        expect(said.where).to.equal(
          [
            [other, "public.t"],
            ["public.t", other],
          ]
            .map(
              ([mine, its]) =>
                `${mine}: ${name} has the name of what ${its} has in another schema, and the archive is one`,
            )
            .join("\n    "),
        );
      }
    }));

  it("16-16 refer to their account while they wait, though the module has no key to it and locks nothing", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const module = await moduleOf("900_t", kept("CREATE TABLE public.t (id int, person uuid)"));
      await engine.apply(module);
      await client.query("INSERT INTO public.t SELECT 1, id FROM auth.users ORDER BY id LIMIT 2");
      expect(await engine.undo("900_t")).to.equal(2n);
      await admin.query("DELETE FROM auth.users WHERE id = (SELECT person FROM guardian_archive.t__1 LIMIT 1)");
      expect((await engine.apply(module)).restored).to.equal(1n);
    }));

  it("16-16 keep their rows where an older release took parts: the rollback is refused, and drops none", () =>
    withMigrator(async (engine, client) => {
      const down = "DROP TABLE public.t_1";
      const up = "CREATE TABLE public.t (id int, person uuid); CREATE TABLE public.t_1 (id int, person uuid)";
      const files = kept(up, "", "none", "public.t, public.t_1");
      await engine.apply(await moduleOf("900_t", { ...files, down }));
      await client.query(
        "ALTER TABLE public.t_1 INHERIT public.t; INSERT INTO public.t_1 SELECT 1, id FROM auth.users LIMIT 1",
      );
      const said = await refusalOf(engine.undo("900_t"));
      expect(said.where).to.match(/^public\.t: it is partitioned, or of a table with parts/);
      expect(await column(client, "SELECT count(*)::int FROM public.t")).to.deep.equal([1]);
    }));
});
