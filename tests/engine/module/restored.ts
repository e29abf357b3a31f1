import type { Client } from "pg";
import { column, moduleOf, type Engine, type Files } from "./harness";

/** What comes last, since it locks v6. */
export const keys = `ALTER TABLE public.t
  ADD CONSTRAINT t_person_fkey FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE,
  ADD CONSTRAINT t_actor_fkey FOREIGN KEY (actor) REFERENCES auth.users ON DELETE SET NULL;`;
export const files: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: person }\n",
  up: `CREATE TABLE public.t (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person uuid, actor uuid, note text UNIQUE,
  length int GENERATED ALWAYS AS (length(note)) STORED, updated_at timestamptz NOT NULL DEFAULT now());
${keys}`,
};

/** What the ledger says came back. */
export const counts =
  "SELECT concat_ws(' ', original, rows, restored, beaten, left_out, restored_at IS NOT NULL) FROM guardian_migration.archived ORDER BY apply_id, original";
export const content = "SELECT t::text FROM public.t t ORDER BY id";

/** Applies, fills, rolls back: the rows wait. */
export async function archived(engine: Engine, client: Client, fill: string, module: Files = files): Promise<string[]> {
  await engine.apply(await moduleOf("900_t", module));
  await client.query(fill);
  const before = await column<string>(client, content);
  await engine.undo("900_t");
  return before;
}

/** Fills the table with so many rows of other people each. */
export const some = (n: number): string =>
  `INSERT INTO public.t (person, actor, note, updated_at) SELECT u.id, a.id, 'note ' || i, '2020-01-01'
   FROM generate_series(1, ${n}) i JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM auth.users) u ON u.n = 1 + i % 100
   JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM auth.users) a ON a.n = 101 + i % 100`;
