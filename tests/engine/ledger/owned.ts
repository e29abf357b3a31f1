import { closeLedger } from "../../../engine/purge";
import type { Engine, Files } from "../module/harness";

/** A module whose rows are archived. */
export const files: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: person }\n",
  up: "CREATE TABLE public.t (id serial PRIMARY KEY, person uuid);\nALTER TABLE public.t ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;",
};

/** What destroy does to the Ledger resource. */
export const close = (engine: Engine, purge = false): Promise<void> =>
  engine.write("Ledger", "ledger", (fenced) => closeLedger(fenced, purge, Date.now() + 2000));
