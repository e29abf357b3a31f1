import type { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../../../engine/database";
import { applyModule, type Applied } from "../../../engine/module/apply";
import type { Module } from "../../../engine/module/files/manifest";
import type { V6 } from "../../support/postgres";
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

/** Applies a module, does something while none of its archived rows can come, and lets them come. */
export const meanwhile = (...of: Meanwhile): Promise<Applied> => held(false, ...of);

/** The same, but for their coming: then the run is cut off. */
export async function whileWaiting(...of: Meanwhile): Promise<void> {
  await held(true, ...of).catch(() => undefined);
}

type Meanwhile = [engine: Engine, db: V6, module: Module, live: () => Promise<unknown>];

async function held(cut: boolean, ...[engine, db, module, live]: Meanwhile): Promise<Applied> {
  const [holder, watcher] = [await db.connect("admin"), await db.connect("admin")];
  await holder.query(`BEGIN; LOCK TABLE ${(await column<string>(holder, standing)).join(", ")} IN EXCLUSIVE MODE`);
  const stop = new AbortController();
  const work = (fenced: FencedWriter): Promise<Applied> => applyModule(fenced, module, Date.now() + 60_000);
  const done = engine.write("SqlModule", module.name, work, { signal: stop.signal });
  const settled = done.catch(() => undefined);
  while (!(await column<boolean>(watcher, allMade))[0]) await sleep(25);
  let failed = true;
  try {
    await live();
    failed = false;
  } finally {
    if (cut || failed) {
      stop.abort();
      await settled;
    }
    await holder.query("COMMIT");
  }
  return done;
}

/** Whether each table that waits is made anew. */
const allMade =
  "SELECT bool_and(to_regclass(original) IS NOT NULL) FROM guardian_migration.archived WHERE restored_at IS NULL";

/** What is noted of rows that stay. */
export const rejects = "SELECT concat_ws(' ', key[1], sqlstate, object) FROM guardian_migration.reject ORDER BY 1";

/** The archived tables that are there. */
export const standing =
  "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace AND relkind = 'r' ORDER BY 1";
