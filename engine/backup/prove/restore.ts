import type { ConnectionSettings } from "../../connect";
import type { Scratch } from "../../scratch/scratch";
import type { FoundBackup } from "../adopt";
import type { Manifest, Surroundings } from "../manifest";
import { type Clients, restoreInto } from "./copy";
import { leaveForeign, type LeftOut, leaveUnfilled } from "./left";
import { findMissing, makeStubs, type Missing } from "./missing";
import { asFirstRole, makeDatabase, makeRoles, readDatabase } from "./place";
import { both } from "./both";
import { type Definitions, definitions } from "./schema";
import { type Toc, type TocEntry, useList } from "./toc";
import type { ProofProgress, Unproven } from "./types";

/** What one proof works with. */
export interface Proving {
  backup: FoundBackup;
  manifest: Manifest;
  around: Surroundings;
  /** The folder that pg_dump wrote. */
  dump: string;
  scratch: Scratch;
  clients: Clients;
  signal: AbortSignal;
  phase: (phase: ProofProgress["phase"]) => void;
  /** What the dump says of the database itself; read for a server of ours alone. */
  database: ReturnType<typeof readDatabase> | undefined;
}

/** The copy, and what is known of it. */
export interface Restored {
  settings: ConnectionSettings;
  ours: boolean;
  /** pg_restore's options, which hold for what it prints too. */
  options: readonly string[];
  /** What is said of the database and of every role, to be run at last. */
  later: readonly string[];
  unproven: Unproven[];
  missing: Missing;
  /** All definitions of the backup that are restored. */
  defined: Definitions;
  seconds: number;
}

/** Restores a backup. @throws GuardianError of the restore, or where the backup is not to blame */
export async function restore(proving: Proving, toc: Toc): Promise<Restored> {
  const { backup, manifest, around, dump, scratch, clients, signal, database } = proving;
  const began = performance.now();
  const ours = scratch.kind === "embedded";
  // A database with a subscription could not be dropped there.
  const options = ours ? [] : ["--no-owner", "--no-privileges", "--no-subscriptions"];
  const unproven: Unproven[] = [];
  const later: string[] = [];
  let settings: ConnectionSettings;
  if (ours) {
    const name = manifest.server.database;
    const first = await asFirstRole(scratch, around.superuser, signal);
    const said = (await database) ?? { create: "", set: [] };
    // A database gets its owner later, with its settings.
    const [roles, made] = await both(
      makeRoles(backup.path, around, first, signal),
      makeDatabase(said.create, name, around, first, signal),
    );
    unproven.push(...roles.unproven, ...made);
    later.push(...said.set, ...roles.later);
    settings = first.withDatabase(name);
  } else {
    settings = await scratch.createDatabase("guardian_proof");
    const reason = "on a scratch server that is not ours, only a database of our own is touched";
    unproven.push(...["owners", "rights", "roles", "settings"].map((table) => ({ table, reason })));
  }
  const missing = await findMissing(manifest, toc, settings, signal);
  const unfilled = leaveUnfilled(around, toc, missing.extensions);
  const foreign = ours ? none : await leaveForeign(around, toc, { restorer: clients.restorer, dump, settings });
  unproven.push(...missing.unproven, ...unfilled.unproven, ...foreign.unproven);
  const left = new Set([...missing.left, ...unfilled.left, ...foreign.left]);
  const defining = definitions(clients.restorer, dump, toc, options, left);
  defining.catch(() => undefined); // is thrown below
  await restoreWithout(proving, toc, { ...missing, left }, settings, options);
  const seconds = Math.round((performance.now() - began) / 10) / 100;
  return { settings, ours, options, later, unproven, missing: { ...missing, left }, defined: await defining, seconds };
}

const none: LeftOut = { unproven: [], left: [] };

/** Schemas and extensions first where stubs must come between them and what uses these. */
export async function restoreWithout(
  { clients, dump, signal }: Pick<Proving, "clients" | "dump" | "signal">,
  toc: Toc,
  { left, stubs }: Missing,
  settings: ConnectionSettings,
  options: readonly string[],
): Promise<void> {
  if (left.size === 0) return restoreInto(clients, dump, settings, options);
  const { folder } = clients.restorer;
  const kept = toc.entries.filter((entry) => !left.has(entry));
  if (stubs.length === 0)
    return restoreInto(clients, dump, settings, [...options, await useList(folder, "kept", kept)]);
  const first = (entry: TocEntry): boolean => /^(SCHEMA|EXTENSION)$/.test(entry.kind);
  const before = await useList(folder, "first", kept.filter(first));
  await restoreInto(clients, dump, settings, [...options, before]);
  await makeStubs(stubs, settings, signal);
  const rest = await useList(
    folder,
    "rest",
    kept.filter((entry) => !first(entry)),
  );
  await restoreInto(clients, dump, settings, [...options, rest]);
}
