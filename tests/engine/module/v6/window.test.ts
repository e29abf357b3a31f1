import { expect } from "chai";
import type { Queryable } from "../../../../engine/base/sql";
import { FencedWriter } from "../../../../engine/database";
import { catalogue } from "../../../support/modules";
import { readObjects } from "../../../../engine/ledger/objects";
import { parseFile } from "../../../../engine/module/files/statements";
import { parted } from "../../../../engine/module/files/touching";
import { column, driftNow, moduleOf, refusalOf, withEngine, type Files, withAdmin } from "../harness";

const slow = "DO $$ BEGIN PERFORM pg_sleep(0.1); END $$;";

const keyed: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\n",
  up: "CREATE TABLE public.t (id uuid PRIMARY KEY);\nALTER TABLE public.t ADD CONSTRAINT t_key FOREIGN KEY (id) REFERENCES auth.users ON DELETE CASCADE;",
  down: "DROP TABLE public.t;",
};

/** A check of the key, as a person writes it. @param action pg_constraint.confdeltype */
const says = (action: string): string => `DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 't_key' AND confdeltype = '${action}') THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'public.t: no such key';
  END IF; END $$;`;

/** @returns every statement that ran between LOCK TABLE and COMMIT */
async function underLocks(work: () => Promise<unknown>): Promise<string[]> {
  const usual = FencedWriter.prototype.transaction;
  const texts: string[] = [];
  FencedWriter.prototype.transaction = function (inside) {
    let locked = false;
    const watched = (db: Queryable): Queryable => ({
      query: (text, values) => {
        if (locked) texts.push(text);
        return db.query(text, values);
      },
      script: (text) => {
        locked ||= text.includes("LOCK TABLE");
        if (locked) texts.push(text);
        return db.script(text);
      },
    });
    return usual.call(this, (db: Queryable) => inside(watched(db))) as ReturnType<typeof inside>;
  };
  try {
    await work();
  } finally {
    FencedWriter.prototype.transaction = usual;
  }
  return texts;
}

describe("16-5 while v6 is locked", function () {
  this.timeout(120_000);

  it("nothing is verified but what is made there: a slow verify.sql keeps v6 waiting no longer", () =>
    withEngine(async (engine) => {
      const module = await moduleOf("900_t", { ...keyed, verify: `${slow}\n${says("c")}` });
      const texts = await underLocks(() => engine.apply(module));
      expect(texts.join("\n"))
        .to.contain("ADD CONSTRAINT t_key")
        .and.contain("no such key")
        .and.not.contain("pg_sleep");
    }));

  it("the key itself is verified there, and what verify.sql refuses is not kept", () =>
    withAdmin(async (engine, admin) => {
      const before = await catalogue(admin);
      const said = await refusalOf(
        engine.apply(await moduleOf("900_t", { ...keyed, verify: `SELECT 1;\n${says("n")}` })),
      );
      expect([said.sqlstate, said.what]).to.deep.equal(["GM001", "PostgreSQL refused: public.t: no such key"]);
      expect(said.where).to.match(/^sql\/900_t\/verify\.sql:2: DO/);
      expect(await catalogue(admin)).to.deep.equal(before);
    }));

  it("of module 003 no right, function or view is looked at, and the whole is recorded as it is", () =>
    withEngine(
      async (engine) => {
        const texts = await underLocks(() => engine.applyReal("003_fhir_integration"));
        expect(texts[0]).to.contain("LOCK TABLE");
        expect(
          texts.filter((text) => /security_facts|definition_facts|assert_module|pg_get_viewdef/.test(text)),
        ).to.deep.equal([]);
        expect(texts.length).to.be.at.most(6);
        const down = await underLocks(() => engine.undo("003_fhir_integration"));
        expect(down[0]).to.contain("LOCK TABLE");
        expect(down.length).to.be.at.most(4);
        await engine.applyReal("003_fhir_integration");
        expect(await driftNow(engine)).to.deep.equal([]);
        const recorded = await engine.host.read(readObjects);
        const table = recorded.find(({ object }) => object === "table public.fhir_observations");
        expect(table?.definition).to.match(/REFERENCES auth\.users/);
      },
      { modules: ["000_audit_log"] },
    ));

  it("a whole file runs whose CREATE TABLE has its key to v6 inline; its rows come back, its numbers go on", () =>
    withAdmin(async (engine, admin) => {
      const module = await moduleOf("900_t", {
        yaml: `${keyed.yaml!}archive: [{ table: public.t, subject: id }]\n`,
        up: `CREATE TABLE public.t (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid REFERENCES auth.users ON DELETE CASCADE);
COMMENT ON TABLE public.t IS 'inline';`,
        verify: "DO $$ BEGIN PERFORM 'public.t'::regclass; END $$;",
      });
      const texts = await underLocks(() => engine.apply(module));
      expect(texts[1]).to.contain("CREATE TABLE public.t");
      await admin.query("INSERT INTO public.t (id) SELECT id FROM auth.users ORDER BY id LIMIT 3");
      expect(await engine.undo("900_t")).to.equal(3n);
      expect((await engine.apply(module)).restored).to.equal(3n);
      await admin.query("INSERT INTO public.t (id) SELECT id FROM auth.users ORDER BY id LIMIT 1");
      expect(await column(admin, "SELECT n FROM public.t ORDER BY 1")).to.deep.equal(["1", "2", "3", "4"]);
    }));

  it("a trigger that module.yaml lists and the file does not make is refused", () =>
    withEngine(async (engine) => {
      const yaml = `${keyed.yaml!}  trigger: [told on auth.users]\n`;
      const said = await refusalOf(engine.apply(await moduleOf("900_t", { ...keyed, yaml })));
      expect(said.where).to.equal("sql/900_t/module.yaml: listed and not made: trigger told on auth.users");
    }));

  for (const [what, tail, apart] of [
    ["keys", "ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users, VALIDATE CONSTRAINT t_key", true],
    ["triggers on v6", "CREATE TRIGGER a AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.f()", true],
    ["a comment", "COMMENT ON COLUMN auth.users.id IS 'a'", true],
    ["a column with a key", "ALTER TABLE public.t ADD COLUMN b uuid REFERENCES auth.users", false],
    [
      "a trigger of its own",
      "CREATE TRIGGER a AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
      false,
    ],
    ["a right", "GRANT SELECT ON public.t TO anon", false],
    ["a table", "CREATE TABLE public.u ()", false],
  ] as const) {
    it(`${apart ? "verified apart" : "verified with all the rest"}: after a key, ${what}`, async () => {
      const key = "ALTER TABLE public.t ADD CONSTRAINT t_key FOREIGN KEY (id) REFERENCES auth.users";
      const parts = parted(await parseFile("f", `CREATE TABLE public.t (id uuid); ${key}; ${tail}`), ["auth.users"]);
      expect([parts.own.length, parts.locking.length, parts.apart]).to.deep.equal([1, 2, apart]);
      expect(parts.keyed).to.deep.equal(["public.t"]);
    });
  }
});
