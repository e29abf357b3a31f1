import { escapeLiteral } from "pg";
import type { Facts } from "./facts";

/** What a person writes beside what is made: SQL for before and after it, empty where there is none. */
export interface Extra {
  before: string;
  after: string;
}

/** @returns the text of a module's verify.sql */
export function render(module: string, facts: Facts, extra: Extra): string {
  const head = `-- Made by \`npm run verify-sql\`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
`;
  return head + extra.before + compared(module, facts) + fires(module, facts.elsewhere) + extra.after;
}

function compared(module: string, { relations, functions, described, own, later }: Facts): string {
  const perhaps = [...later].map(
    ([calls, of]) =>
      ` || CASE WHEN to_regprocedure(${escapeLiteral(calls)}) IS NULL THEN '{}' ELSE ARRAY[\n${list(of)}\n] END`,
  );
  return `SELECT public.assert_module(${escapeLiteral(module)}, e.facts)
FROM (SELECT ARRAY[
${list(own)}
]${perhaps.join("")} AS facts) AS e
-- assert_module names what differs. It takes longer than this, and v6 may be waiting: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT f COLLATE "C" FROM public.security_facts(${array(relations)},
    ${array(functions)}) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(${array(described)}) AS f
  ORDER BY 1);
`;
}

/** A trigger on another module's table: its definition is among the facts, whether it fires is not. */
function fires(module: string, triggers: Facts["elsewhere"]): string {
  if (triggers.length === 0) return "";
  const values = triggers.map(({ name, relation }) => `      (${escapeLiteral(relation)}, ${escapeLiteral(name)})`);
  return `DO $$
DECLARE
  v_bad text := (
    SELECT string_agg(format('[%s: trigger %s]', w.relation, w.name), '; ') FROM (VALUES
${values.join(",\n")}
    ) AS w (relation, name)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
      WHERE t.tgrelid = to_regclass(w.relation) AND t.tgname = w.name AND t.tgenabled IN ('O', 'A')));
BEGIN
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001',
      MESSAGE = 'module ${module} is not as it was made: missing or DISABLED ' || v_bad;
  END IF;
END
$$;
`;
}

const list = (facts: readonly string[]): string => facts.map((fact) => `  ${escapeLiteral(fact)}`).join(",\n");

const array = (names: readonly string[]): string => `string_to_array(${escapeLiteral(names.join("; "))}, '; ')`;
