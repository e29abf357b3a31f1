import { join } from "node:path";
import type { Client } from "pg";
import { planThrough } from "../../components/plan";
import { flagNames } from "../../config";
import { compareFingerprints } from "../../engine/fingerprint/compare";
import { ownSchemas, takeFingerprint } from "../../engine/fingerprint/take";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { clientFolder } from "../../scripts/pg-clients";
import { major, withV6, type Login, type V6, type V6Fixture } from "./postgres";
import { withStack, type StackOptions, type TestStack } from "./stack";

/** A v6 database and a stack that is pointed at it. */
export interface Story {
  db: V6;
  stack: TestStack;
  /** A connection as the migrator. */
  client: Client;
  fingerprint: (ignore?: readonly string[]) => Promise<Fingerprint>;
}

/** Runs a story on a fresh v6 and a fresh stack. */
export async function story(
  tell: (story: Story) => Promise<void>,
  options: V6Fixture & { stack?: Partial<StackOptions> } = {},
): Promise<void> {
  await withV6(async (db) => {
    await withStack({ database: db.migrator, ...options.stack }, async (stack) => {
      const client = await db.connect();
      const fingerprint = (ignore = ownSchemas): Promise<Fingerprint> => fingerprintOf(client, db.migrator, ignore);
      await tell({ db, stack, client, fingerprint });
    });
  }, options);
}

/** What a database holds, schemas aside; the product's own by default. */
export async function fingerprintOf(client: Client, login: Login, ignoreSchemas = ownSchemas): Promise<Fingerprint> {
  const { host, port, database, user, password } = login;
  const env = { PGHOST: host, PGPORT: String(port), PGDATABASE: database, PGUSER: user, PGPASSWORD: password };
  return takeFingerprint(client, { pgDump: join(await clientFolder(major), "pg_dump"), env, ignoreSchemas });
}

/** What differs, as lines. */
export function differences(before: Fingerprint, after: Fingerprint): string[] {
  return compareFingerprints(before, after).map((difference) => difference.text);
}

/** How many resources the whole stack has, the provider and the stages aside. */
export const total = planThrough("deployment", flagNames).totalSteps;
/** How many of them are gone when only the schema is wanted: flags, completion, data migrations. */
export const beyondSchema = total - planThrough("schema", flagNames).totalSteps;
/** How many the infrastructure stage has. */
export const infrastructure = planThrough("infrastructure", flagNames).totalSteps;
/** The accounts whose consent is taken over. */
export const existing = "auth.users WHERE created_at < now() - interval '1 day' AND deleted_at IS NULL";
