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

function compared(module: string, facts: Facts): string {
  const { relations, functions, described, own, keys = [], later } = facts;
  const perhaps = [...later].map(
    ([calls, of]) =>
      ` || CASE WHEN to_regprocedure(${escapeLiteral(calls)}) IS NULL THEN '{}' ELSE ARRAY[\n${list(of)}\n] END`,
  );
  const actual = `SELECT f COLLATE "C" FROM public.security_facts(${array(relations)},
    ${array(functions)}) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(${array(described)}) AS f`;
  const expected = `FROM (SELECT ARRAY[
${list(own)}
]${perhaps.join("")} AS facts`;
  if (keys.length === 0) {
    return `SELECT public.assert_module(${escapeLiteral(module)}, e.facts)
${expected}) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  ${actual}
  ORDER BY 1);
`;
  }
  return `-- Without the keys to v6's tables, so that it holds before they are made and these are locked.
SELECT public.assert_module(${escapeLiteral(module)}, e.facts || CASE WHEN EXISTS (
  SELECT FROM unnest(e.keys) AS k JOIN pg_constraint AS c ON c.conrelid = to_regclass(split_part(k, ': ', 1))
    AND c.conname = split_part(split_part(k, ': ', 2), ' ', 1)) THEN e.keys ELSE '{}' END)
${expected}, ARRAY[
${list(keys)}
] AS keys) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT a.f FROM (${actual}) AS a (f)
  WHERE a.f <> ALL (e.keys) ORDER BY 1);
${present(module, keys)}`;
}

/** Looks at the keys to v6's tables and at nothing else: these are locked meanwhile. */
function present(module: string, keys: readonly string[]): string {
  const values = keys.map((key) => {
    const [relation = "", definition = ""] = key.split(/: (.*)/s);
    return `      (${escapeLiteral(relation)}, ${escapeLiteral(definition)})`;
  });
  return `-- The keys to v6's tables, by themselves.
DO $$
DECLARE
  v_path text := current_setting('search_path');
  v_bad text;
BEGIN
  -- Names are qualified then.
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT string_agg(format('missing [%s: %s]', w.relation, w.key), '; ') INTO v_bad FROM (VALUES
${values.join(",\n")}
    ) AS w (relation, key)
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(w.relation) AND c.conname || ' ' || pg_get_constraintdef(c.oid) = w.key);
  PERFORM set_config('search_path', v_path, true);
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'module ${module} is not as it was made: ' || v_bad;
  END IF;
END
$$;
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
