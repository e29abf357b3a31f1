import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withClient, type Logins } from "../../scripts/v6/database";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { movedHere, type Preparation } from "./server";
import { fingerprintOf, story, type Story } from "./story";
import { withStack, type StackOptions, type TestStack } from "./stack";

/** What an `up` left beside the database. */
interface Kept {
  /** The database's name and the stack's folder, as they stand in state and ledger. */
  database: string;
  folder: string;
  /** A copy of the folder's backups. */
  backups: string;
  state: string;
  before: Fingerprint;
}

let kept: Kept | undefined;

/** Everything is up, without a rollout; made once in a process by the real engine. */
const everything: Preparation = {
  name: "up to the end",
  everyCopy: movedHere,
  prepare: async (db) => {
    const before = await withClient(db.migrator, (client) => fingerprintOf(client, db.migrator));
    await withStack({ database: db.migrator }, async (stack) => {
      await stack.up();
      kept = { ...(await keep(stack, db)), before };
    });
  },
};

async function keep({ stack, folder }: TestStack, db: Logins): Promise<Omit<Kept, "before">> {
  const backups = mkdtempSync(join(tmpdir(), "guardian-migrated-"));
  process.once("exit", () => rmSync(backups, { recursive: true, force: true }));
  cpSync(join(folder, "backups"), backups, { recursive: true });
  const { database } = db.migrator;
  return { database, folder, backups, state: JSON.stringify(await stack.exportStack()) };
}

/** A story that begins after an `up` of everything on a v6 of 300 users. */
export interface AfterUp extends Story {
  /** The database as it was before that `up`. */
  before: Fingerprint;
}

/** Runs a story on a copy of a migrated database and of its stack, which state and ledger are told. */
export function afterUp(tell: (it: AfterUp) => Promise<void>, stack: Partial<StackOptions> = {}): Promise<void> {
  return story(
    async (it) => {
      if (!kept) throw new Error("there is no migrated template");
      const { database, folder, backups, state, before } = kept;
      cpSync(backups, join(it.stack.folder, "backups"), { recursive: true });
      await it.client.query(
        `UPDATE guardian_migration.step SET physical_id = replace(physical_id, $1, $2),
           detail = replace(detail::text, $1, $2)::jsonb WHERE strpos(concat(physical_id, detail), $1) > 0`,
        [folder, it.stack.folder],
      );
      const here = state.replaceAll(folder, it.stack.folder).replaceAll(`"${database}"`, `"${it.db.name}"`);
      await it.stack.stack.importStack(JSON.parse(here) as Parameters<typeof it.stack.stack.importStack>[0]);
      await tell({ ...it, before });
    },
    { prepared: everything, stack },
  );
}
