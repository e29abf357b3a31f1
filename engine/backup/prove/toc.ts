import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runClient } from "../child";
import { clientFailure, isSpent } from "../messages";
import { differs } from "./differs";

/** One line of a dump's table of contents, as pg_restore --list writes it. */
export interface TocEntry {
  /** Of the dump; its data, if any, lies in `<dumpId>.dat`. */
  readonly dumpId: number;
  /** Catalogue and oid in the database that was dumped; 0 where there is none. Data and rights have no catalogue. */
  readonly catalogue: number;
  readonly oid: number;
  /** Such as `TABLE DATA`; then schema, name and owner, which cannot be told apart where they hold blanks. */
  readonly kind: string;
  readonly rest: string;
  readonly line: string;
}

/** What a dump says of itself before its entries. */
export interface Toc {
  readonly database: string;
  readonly clientVersion: string;
  readonly entries: readonly TocEntry[];
}

/** A pg_restore, and where it may write. */
export interface Restorer {
  readonly path: string;
  readonly env: Record<string, string>;
  readonly signal: AbortSignal;
  /** A folder of the proof's own, for the owner alone. */
  readonly folder: string;
}

/** Kinds of several words (pg_dump.c, .description); of all others the first word is the kind. */
const wordy =
  /^(TABLE (DATA|ATTACH)|INDEX ATTACH|SEQUENCE (SET|OWNED BY)|(FK|CHECK) CONSTRAINT|DEFAULT ACL|MATERIALIZED VIEW( DATA)?|EVENT TRIGGER|ROW SECURITY|FOREIGN (TABLE|DATA WRAPPER|SERVER)|USER MAPPING|BLOB (METADATA|COMMENTS)|BLOBS?|DATABASE PROPERTIES|SECURITY LABEL|SHELL TYPE|OPERATOR (CLASS|FAMILY)|ACCESS METHOD|PROCEDURAL LANGUAGE|TEXT SEARCH (PARSER|DICTIONARY|TEMPLATE|CONFIGURATION)|PUBLICATION TABLES? IN SCHEMA|PUBLICATION TABLE|SUBSCRIPTION TABLE|STATISTICS DATA|\S+)(?: |$)/;

/** Runs pg_restore and gives what it wrote into a file. @throws GuardianError of the listing, if it cannot read the dump */
export async function printed({ path, env, signal, folder }: Restorer, dump: string, args: string[]): Promise<string> {
  const file = join(folder, `printed-${randomUUID()}`);
  const result = await runClient(path, [...args, `--file=${file}`, dump], { env, signal });
  signal.throwIfAborted();
  if (result.code !== 0) {
    const failure = clientFailure("pg_restore", result, dump);
    if (failure.code !== "backup-failed" || isSpent(result)) throw failure;
    throw differs("listing", `pg_restore cannot read it (${failure.where ?? ""})`, dump);
  }
  return readFile(file, "utf8");
}

/** Reads a dump's table of contents. @param args more of pg_restore's, such as --create */
export async function readToc(restorer: Restorer, dump: string, args: string[] = []): Promise<Toc> {
  const text = await printed(restorer, dump, ["--list", ...args]);
  const said = (name: string): string => new RegExp(`^; +${name}: (.*)$`, "m").exec(text)?.[1] ?? "";
  const entries = text.split("\n").flatMap((line) => {
    const [, dumpId, catalogue, oid, after] = /^(\d+); (\d+) (\d+) (.*)$/.exec(line) ?? [];
    if (after === undefined) return [];
    const kind = wordy.exec(after)?.[1] ?? "";
    const rest = after.slice(kind.length + 1);
    return [{ dumpId: Number(dumpId), catalogue: Number(catalogue), oid: Number(oid), kind, rest, line }];
  });
  return {
    database: said("dbname"),
    clientVersion: said("Dumped by pg_dump version"),
    entries,
  };
}

/** Writes entries as a list for pg_restore's --use-list, under a name of its own. @returns the option */
export async function useList(folder: string, name: string, entries: readonly TocEntry[]): Promise<string> {
  const file = join(folder, `${name}-${randomUUID()}.list`);
  await writeFile(file, entries.map(({ line }) => `${line}\n`).join(""), { mode: 0o600 });
  return `--use-list=${file}`;
}
