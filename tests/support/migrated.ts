import { cpSync } from "node:fs";
import { withClient } from "../../scripts/v6/database";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { movedHere, type Preparation } from "./server";
import { fingerprintOf, story, type Story } from "./story";
import { keep, withStack, type StackOptions } from "./stack";

/** How far an `up` went: to its end, or until the schema is there and no row has been moved. */
type Through = "deployment" | "schema";

/** What an `up` left beside the database. */
interface Kept {
  /** The database's name and the stack's folder, as they stand in state and ledger. */
  database: string;
  folder: string;
  /** A copy of the folder. */
  copy: string;
  before: Fingerprint;
}

const kept = new Map<Through, Kept>();

/** What is up, without a rollout; made once in a process by the real engine. */
const upTo = (through: Through): Preparation => ({
  name: `up to ${through}`,
  everyCopy: movedHere,
  prepare: async (db) => {
    const { database } = db.migrator;
    const before = await withClient(db.migrator, (client) => fingerprintOf(client, db.migrator));
    await withStack({ database: db.migrator, config: { through } }, async ({ up, folder }) => {
      await up();
      kept.set(through, { database, folder, copy: keep(folder), before });
    });
  },
});

/** A story that begins after an `up` on a v6 of 300 users. */
export interface AfterUp extends Story {
  /** The database as it was before that `up`. */
  before: Fingerprint;
}

/**
 * Runs a story on a copy of a migrated database and of its stack, which state and ledger are told.
 * @param through what `guardian:through` says until the story sets another
 */
export function afterUp(
  tell: (it: AfterUp) => Promise<void>,
  { through = "deployment", ...stack }: Partial<StackOptions> & { through?: Through } = {},
): Promise<void> {
  const known = (): Kept => {
    const found = kept.get(through);
    if (found) return found;
    throw new Error("there is no migrated template");
  };
  const begin = (folder: string): void => cpSync(known().copy, folder, { recursive: true });
  return story(
    async (it) => {
      const { database, folder, before } = known();
      await it.client.query(
        `UPDATE guardian_migration.step SET physical_id = replace(physical_id, $1, $2),
           detail = replace(detail::text, $1, $2)::jsonb WHERE strpos(concat(physical_id, detail), $1) > 0`,
        [folder, it.stack.folder],
      );
      it.stack.edit((state) =>
        state.replaceAll(folder, it.stack.folder).replaceAll(`"${database}"`, `"${it.db.name}"`),
      );
      await tell({ ...it, before });
    },
    { prepared: upTo(through), stack: { ...stack, begin } },
  );
}
