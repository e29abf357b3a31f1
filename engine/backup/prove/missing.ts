import { escapeIdentifier } from "pg";
import { isPostgres } from "../../base/errors";
import { rows } from "../../base/sql";
import type { ConnectionSettings } from "../../connect";
import type { Manifest } from "../manifest";
import type { Dependent } from "../members";
import { onScratch } from "./place";
import type { Toc, TocEntry } from "./toc";
import type { Unproven } from "./types";

/** What of a dump is not restored, and what stands in for what. */
export interface Missing {
  readonly unproven: readonly Unproven[];
  /** Entries of the table of contents that are left out. */
  readonly left: ReadonlySet<TocEntry>;
  /** Statements for the stubs. */
  readonly stubs: readonly string[];
  /** Extensions that the scratch lacks. */
  readonly extensions: ReadonlySet<string>;
  /** Whether a definition of the copy is a stub's, by its name with the schema. */
  readonly isStub: (name: string) => boolean;
}

/** Kinds of objects that have a name of their own to be told by; what is of a table is told with the table. */
const told =
  /^(table|foreign table|view|materialized view|index|function|procedure|aggregate|type|server|sequence|trigger|policy|table constraint|operator|cast)$/;

/** Finds what cannot be restored on a server that lacks extensions. @param settings an empty database there */
export async function findMissing(
  manifest: Manifest,
  toc: Toc,
  settings: ConnectionSettings,
  signal: AbortSignal,
): Promise<Missing> {
  const names = Object.keys(manifest.around?.facts["extension"] ?? {});
  const there = await onScratch(settings, signal, (client) =>
    rows<{ name: string }>(client, "SELECT name FROM pg_catalog.pg_available_extensions"),
  );
  const missing = names.filter((name) => !there.some((one) => one.name === name));
  const unproven: Unproven[] = missing.map((name) => ({
    table: `extension ${name}`,
    reason: "the scratch lacks it: what it makes is imitated, where that can be",
  }));
  const out = new Map<string, Dependent>();
  const stubs: string[] = [];
  const stubbed: string[] = [];
  for (const extension of missing) {
    const members = manifest.around?.members[extension] ?? { stubs: [], out: [] };
    const own = new Map(members.out.map((one) => [`${one.catalogue} ${one.oid}`, one]));
    own.forEach((one, key) => out.set(key, one));
    for (const stub of members.stubs) {
      // Types and functions share no oid that matters: both catalogues are looked at.
      if (own.has(`${typeCatalogue} ${stub.oid}`) || own.has(`${functionCatalogue} ${stub.oid}`)) continue;
      stubs.push(`CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(stub.schema)}`, stub.sql);
      stubbed.push(`${stub.schema}.${stub.name}`);
    }
    unproven.push(...tellOut(members.out, manifest, extension));
  }
  const gone = [...out.values()];
  const left = new Set(
    toc.entries.filter((entry) => missing.some((name) => isOf(entry, name)) || isOut(entry, out, gone)),
  );
  const isStub = (name: string): boolean => {
    const plain = name.replace(/\.(FUNCTION|PROCEDURE|TYPE|DOMAIN) /, ".").replaceAll('"', "");
    return stubbed.some((stub) => plain === stub || plain.startsWith(`${stub}(`));
  };
  return { unproven, left, stubs, extensions: new Set(missing), isStub };
}

const [typeCatalogue, functionCatalogue, relationCatalogue] = [1247, 1255, 1259];

function tellOut(out: readonly Dependent[], manifest: Manifest, extension: string): Unproven[] {
  const gone = new Set(out.filter(({ catalogue }) => catalogue === relationCatalogue).map(({ oid }) => oid));
  const withRows = new Set(manifest.tables.map(({ oid }) => oid));
  const shown = out.filter(({ catalogue, oid, kind, parent, member }) => {
    if (member) return catalogue === relationCatalogue && withRows.has(oid);
    return told.test(kind) && !(parent !== null && gone.has(parent));
  });
  // A table's own type falls with it, and an array with what it is of.
  const relations = new Set(shown.filter(({ catalogue }) => catalogue === relationCatalogue).map(({ name }) => name));
  return shown
    .filter(({ catalogue, name }) => catalogue !== typeCatalogue || !(name.endsWith("[]") || relations.has(name)))
    .map(({ kind, name }) => ({
      table: kind === "table" ? name : `${kind} ${name}`,
      reason: `needs the extension ${extension}, which the scratch lacks and which cannot be imitated in that`,
    }));
}

/** An extension's own entry, or what is said of it. */
function isOf({ kind, rest }: TocEntry, extension: string): boolean {
  const named = [extension, escapeIdentifier(extension)];
  if (kind === "EXTENSION") return named.some((name) => rest.startsWith(`- ${name} `));
  return named.some((name) => rest.startsWith(`- EXTENSION ${name} `));
}

/** User mappings, rights and comments have no oid in the list: they are told by the name. */
function isOut(
  { catalogue, oid, rest }: TocEntry,
  out: ReadonlyMap<string, Dependent>,
  gone: readonly Dependent[],
): boolean {
  if (oid > 0) return out.has(`${catalogue || relationCatalogue} ${oid}`);
  return gone.some(({ schema, own, kind, name }) => {
    if (kind === "server") return new RegExp(`^- .*SERVER (${spelled(name)}) `).test(rest);
    if (schema === null || own === null) return false;
    return new RegExp(`^${escaped(schema)} (${kind === "function" ? routine : relation}) (${spelled(own)})[ .(]`).test(
      rest,
    );
  });
}

const routine = "FUNCTION|PROCEDURE|AGGREGATE";
const relation = "(FOREIGN |MATERIALIZED )?(TABLE|VIEW)|COLUMN|SEQUENCE|TYPE|INDEX";
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const spelled = (name: string): string => [name, escapeIdentifier(name)].map(escaped).join("|");

/** Runs the stubs. What refuses is left: what needs it will say so. */
export function makeStubs(stubs: readonly string[], settings: ConnectionSettings, signal: AbortSignal): Promise<void> {
  return onScratch(settings, signal, async (client) => {
    await client.query("SET check_function_bodies = off; SET client_min_messages = error");
    for (const stub of stubs) {
      await client.query(stub).catch((err: unknown) => {
        if (!isPostgres(err)) throw err;
      });
    }
  });
}
