import type { Client } from "pg";
import { moduleOf, type Engine, type Files } from "./harness";

/** A module with all that can hang on a table. */
export const files: Files = {
  yaml: `locks: [auth.users]
objects:
  table: [public.t, public.u, public.empty]
  view: [public.v, public.vv, public.mv]
  sequence: [public.s]
  function: ["public.f(integer)", public.touched()]
  index: [public.t_note_idx, public.t_f_idx]
  trigger: [t_touched on public.t, u_touched on public.u]
  policy: [t_own on public.t]
archive:
  - { table: public.t, subject: person }
  - { table: public.u, subject: none }
  - { table: public.empty, subject: person }
`,
  up: `CREATE FUNCTION public.f(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
CREATE FUNCTION public.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE public.s;
CREATE TABLE public.t (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  person uuid,
  actor uuid,
  note text NOT NULL DEFAULT 'n' CONSTRAINT t_note_check CHECK (note <> ''),
  called int DEFAULT public.f(1) CONSTRAINT t_called_check CHECK (public.f(called) > 0),
  counted bigint DEFAULT nextval('public.s'),
  made int GENERATED ALWAYS AS (public.f(1)) STORED,
  parent int CONSTRAINT t_parent_fkey REFERENCES public.t ON DELETE SET NULL
);
CREATE INDEX t_note_idx ON public.t (note);
CREATE INDEX t_f_idx ON public.t (public.f(called));
CREATE TABLE public.u (id serial PRIMARY KEY, t int REFERENCES public.t ON DELETE CASCADE, EXCLUDE (t WITH =));
CREATE TABLE public.empty (person uuid PRIMARY KEY);
CREATE VIEW public.v AS SELECT * FROM public.t;
CREATE VIEW public.vv AS SELECT v.id, u.id AS u FROM public.v JOIN public.u ON u.t = v.id;
CREATE MATERIALIZED VIEW public.mv AS SELECT count(*) FROM public.vv;
CREATE TRIGGER t_touched BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.touched();
CREATE TRIGGER u_touched BEFORE UPDATE ON public.u FOR EACH ROW EXECUTE FUNCTION public.touched();
ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY t_own ON public.t TO authenticated USING (person = (SELECT auth.uid()) AND public.f(id) > 0);
GRANT SELECT (note), UPDATE (note) ON public.t TO authenticated, guardian_operator;
GRANT SELECT ON public.t TO service_role WITH GRANT OPTION;
ALTER TABLE public.t
  ADD CONSTRAINT t_person_fkey FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE,
  ADD CONSTRAINT t_actor_fkey FOREIGN KEY (actor) REFERENCES auth.users ON DELETE SET NULL;
ALTER TABLE public.empty ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;`,
  down: `DROP FUNCTION public.touched();
DROP FUNCTION public.f(integer);
DROP SEQUENCE public.s;`,
};

async function withRows(client: Client): Promise<void> {
  await client.query(`INSERT INTO public.t (person, actor) SELECT id, id FROM auth.users ORDER BY id LIMIT 3;
    INSERT INTO public.u (t) SELECT id FROM public.t`);
}

/** The foreign keys of the archived tables. */
export const key =
  "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'guardian_archive'::regnamespace ORDER BY 1";

/** Applies it and fills its tables. */
export async function applied(engine: Engine, client: Client, change: Partial<Files> = {}): Promise<void> {
  await engine.apply(await moduleOf("900_t", { ...files, ...change }));
  await withRows(client);
}
