import { asQueryable } from "../../base/sql";
import type { ConnectionSettings } from "../../connect";
import { textSettings } from "../../fingerprint/content";
import type { Manifest, Surroundings } from "../manifest";
import { compareContent, type Side } from "../prove/content";
import { dumpAgain, type Clients } from "../prove/copy";
import { differs, listed } from "../prove/differs";
import type { Missing } from "../prove/missing";
import { compareDefinitions, definitions } from "../prove/schema";
import { readToc } from "../prove/toc";
import { byteaOutput, readSurroundings } from "../surroundings";
import { countLargeObjects, countRows, listTables } from "../tables";
import { markSchema, onTarget } from "./target";
import type { Left } from "./types";

/** What was dumped, in the folder that pg_dump wrote. */
export interface Dumped extends Side {
  readonly manifest: Manifest;
  /** What was not restored. */
  readonly missing: Missing;
  /** False: everything belongs to who restored, so that neither owners nor rights are as they were. */
  readonly owners: boolean;
}

/** None is made: the publisher's own subscriber may still be there. That it is not is among the facts that are told. */
const noSubscriptions = ["--no-subscriptions"];

/** pg_restore's options for what is restored. @param owners false: everything belongs to who restores */
export const optionsOf = (owners: boolean): string[] => [...noSubscriptions, ...(owners ? [] : ["--no-owner"])];

/**
 * Compares what was restored with what was dumped, as the proof does: rows, large objects, definitions, sequences.
 * @param shared the database had something in it before, which is no difference
 * @throws GuardianError backup-differs
 */
export async function compareRestored(
  was: Dumped,
  settings: ConnectionSettings,
  clients: Clients,
  shared: boolean,
): Promise<void> {
  const { manifest, toc, folder, missing } = was;
  const { restorer } = clients;
  const { encoding = "UTF8", bytea = "hex" } = manifest.around ?? {};
  // Not every pooler takes options: they are given where they must be.
  const theirs = await onTarget(settings, restorer.signal, (client) => byteaOutput(asQueryable(client)));
  const again = await dumpAgain(clients, settings, { encoding, bytea: theirs === bytea ? undefined : bytea });
  const tocAgain = await readToc(restorer, again.folder);
  const left = new Set([...missing.left].filter(({ kind }) => kind === "TABLE DATA").map(({ oid }) => oid));
  await onTarget(settings, restorer.signal, (client) =>
    compareContent(manifest, was, { toc: tocAgain, ...again }, asQueryable(client), {
      signal: restorer.signal,
      left,
    }),
  );
  const options = [...optionsOf(was.owners), ...(was.owners ? [] : ["--no-privileges"])];
  const before = await definitions(restorer, folder, toc, options, missing.left);
  const after = await definitions(restorer, again.folder, tocAgain, options);
  if (after["SCHEMA"]) Reflect.deleteProperty(after["SCHEMA"], markSchema);
  await compareDefinitions(before, shared ? common(before, after) : after, folder, missing.isStub);
}

/** Of the second only what the first has a name for. */
function common<T extends Record<string, Record<string, string>>>(was: T, is: T): T {
  const kinds = Object.entries(is).map(([kind, named]) => {
    const known = Object.entries(named).filter(([name]) => was[kind]?.[name] !== undefined);
    return [kind, Object.fromEntries(known)];
  });
  return Object.fromEntries(kinds) as T;
}

/**
 * Counts what was restored of a backup of an older release, which says no more of itself than how many rows there were.
 * @throws GuardianError backup-differs
 */
export async function compareCounts(
  manifest: Manifest,
  settings: ConnectionSettings,
  signal: AbortSignal,
  where: string,
): Promise<void> {
  await onTarget(settings, signal, async (client) => {
    const db = asQueryable(client);
    const there = new Map((await listTables(db, [])).map((table) => [`${table.schema}\0${table.table}`, table]));
    const wrong: string[] = [];
    for (const { schema, table, rows, extension } of manifest.tables) {
      const found = there.get(`${schema}\0${table}`);
      const counted = found ? await countRows(db, found) : undefined;
      if (extension === undefined && counted !== rows)
        wrong.push(`${schema}.${table} has ${counted ?? "no"} rows, and had ${rows}`);
    }
    if ((await countLargeObjects(db)) < manifest.largeObjects) wrong.push("large objects are missing");
    if (wrong.length > 0) throw differs("compare", listed(wrong), where);
  });
}

/**
 * What is around the tables and is otherwise than it was. Values are not shown: a setting's may be a secret.
 * @param roles false: roles were not restored, and are not looked at
 */
export async function otherFacts(
  around: Surroundings,
  settings: ConnectionSettings,
  signal: AbortSignal,
  roles: boolean,
): Promise<Left[]> {
  const facts = await onTarget(settings, signal, async (client) => {
    await client.query(`BEGIN READ ONLY; ${textSettings}`);
    const found = await readSurroundings(asQueryable(client), []);
    await client.query("ROLLBACK");
    return found.facts;
  });
  const skipped = new Set(roles ? [] : ["role", "role membership", "parameter rights"]);
  return Object.entries(around.facts).flatMap(([kind, named]) =>
    Object.entries(named).flatMap(([name, value]) => {
      const found = facts[kind]?.[name];
      if (found === value || skipped.has(kind)) return [];
      return [
        { what: `${kind} ${name}`, why: found === undefined ? "it is not there" : "it is otherwise than it was" },
      ];
    }),
  );
}
