import { cpSync } from "node:fs";
import { withClient } from "../../scripts/v6/database";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { movedHere, type Preparation } from "./server";
import { fingerprintOf, story, type Story } from "./story";
import { keep, withStack, type StackOptions } from "./stack";

/** What an `up` left beside the database. */
interface Kept {
  /** The database's name and the stack's folder, as they stand in state and ledger. */
  database: string;
  folder: string;
  /** A copy of the folder. */
  copy: string;
  before: Fingerprint;
}

let kept: Kept | undefined;

/** What is up, without a rollout; made once in a process by the real engine. */
const up: Preparation = {
  name: "up",
  everyCopy: movedHere,
  prepare: async (db) => {
    const { database } = db.migrator;
    const before = await withClient(db.migrator, (client) => fingerprintOf(client, db.migrator));
    await withStack({ database: db.migrator }, async (stack) => {
      await stack.up();
      kept = { database, folder: stack.folder, copy: keep(stack.folder), before };
    });
  },
};

/** A story that begins after an `up` on a v6 of 300 users. */
export interface AfterUp extends Story {
  /** The database as it was before that `up`. */
  before: Fingerprint;
}

/** Runs a story on a copy of a migrated database and of its stack, which state and ledger are told. */
export function afterUp(tell: (it: AfterUp) => Promise<void>, stack: Partial<StackOptions> = {}): Promise<void> {
  const known = (): Kept => {
    if (kept) return kept;
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
    { prepared: up, stack: { ...stack, begin } },
  );
}
