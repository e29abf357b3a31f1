import { expect } from "chai";
import { refuseHarm } from "../../../engine/module/files/manifest";
import { moduleOf, refusalOf } from "./harness";

const files = {
  yaml: "objects:\n  table: [public.t]\n  sequence: [public.s]\n  function: [public.f(), public.trial()]\n",
  down: "DROP FUNCTION public.f(), public.trial();\nDROP TABLE public.t;\nDROP SEQUENCE public.s;",
};
const up = `CREATE SEQUENCE public.s;
CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY, n int DEFAULT nextval('public.theirs'));
CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS $$ SELECT setval('public.theirs', 7) $$;
CREATE FUNCTION public.trial() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(1); END $$;`;
const block = (sql: string): string => `DO $$ BEGIN ${sql}; END $$`;

/** Statement → what of it no ROLLBACK takes back. */
const lasts: [string, string][] = [
  ["SELECT setval('public.theirs', 5000)", "setval('public.theirs')"],
  ["SELECT pg_catalog.setval('theirs'::regclass, 5000)", "setval('theirs')"],
  ["INSERT INTO public.t (n) SELECT nextval('public.theirs')", "nextval('public.theirs')"],
  ["ALTER SEQUENCE public.theirs RESTART WITH 5", "ALTER SEQUENCE public.theirs RESTART"],
  [block("PERFORM setval('public.theirs', 5000)"), "setval('public.theirs')"],
  [block("EXECUTE 'SELECT setval(''public.theirs'', 5000)'"), "setval('public.theirs')"],
  [block("EXECUTE format('SELECT setval(%L, 1)', 'public.theirs')"), "setval(…)"],
  [block("PERFORM setval(pg_get_serial_sequence('public.theirs', 'id'), 1)"), "setval('public.theirs')"],
  ["SELECT public.f()", "setval('public.theirs')"],
  ["SELECT pg_advisory_unlock_all()", "pg_advisory_unlock_all()"],
  ["SET search_path = public", "SET search_path"],
  ["RESET ALL", "RESET ALL"],
  ["SELECT pg_catalog.set_config('search_path', '', false)", "set_config(…, false)"],
  [block("RAISE NOTICE '%', pg_terminate_backend(1)"), "pg_terminate_backend()"],
];

/** What does as it looks, or only says it. */
const honest = [
  "SELECT setval('public.s', 5); ALTER SEQUENCE public.s RESTART; SELECT nextval('public.t_id_seq')",
  block("PERFORM setval(pg_get_serial_sequence('public.t', 'id'), 5)"),
  block("PERFORM pg_advisory_xact_lock(1)"),
  block("RAISE NOTICE 'create user, setval(1)'"),
  block("PERFORM 'drop role x'"),
  block("EXECUTE 'SELECT 1'; RAISE EXCEPTION 'no alter system: %', 'reset' USING HINT = 'drop owned by'"),
  "SELECT 'setval(1)'",
  "SET LOCAL search_path = public; SELECT set_config('search_path', '', true)",
];

describe("16-16 what lasts beyond the transaction", () => {
  const harmOf = async (sql: string): Promise<void> =>
    refuseHarm(await moduleOf("900_t", { ...files, up: `${up}\n${sql};` }));

  it("is not done by up.sql to what is not the module's", async () => {
    for (const [statement, call] of lasts) {
      const said = await refusalOf(harmOf(statement));
      expect(said.code, statement).to.equal("file-invalid");
      expect(said.where, statement).to.equal(`sql/900_t/up.sql:5: ${call}`);
    }
    for (const statement of honest) await harmOf(statement);
  });

  it("nor by down.sql", async () => {
    for (const [statement, call] of lasts.filter(([text]) => !text.startsWith("INSERT"))) {
      const down = `${files.down}\n${statement};`;
      const said = await refusalOf(moduleOf("900_t", { ...files, up, down }));
      expect(said.where, statement).to.contain("sql/900_t/down.sql:4: ");
      expect(said.where, statement).to.contain(`(${call} lasts beyond the transaction`);
    }
  });
});
